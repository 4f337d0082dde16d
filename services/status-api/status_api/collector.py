"""From the AdminClient's answers to a snapshot. Every call has a deadline; one bad item spoils only itself."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec

from newsroom.errors import ClusterUnavailable
from newsroom.waiting import Deadline
from status_api.groups import FoundGroup
from status_api.model import Broker, Group, Key, Partition, Snapshot, Topic, by_key, joined, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from newsroom.admin.quorum import Quorum
    from newsroom.settings import KafkaSettings
    from status_api.model import Tables

CONFIG_SECONDS = 30.0
"""min.insync.replicas hardly ever changes: it is asked for this seldom."""

ANSWER_MARGIN_SECONDS = 0.5
"""librdkafka ends a request itself after its timeout; its answer gets this much longer to arrive."""

METADATA_TRIES = 2
"""librdkafka asks any broker that it is connected with for metadata, also one that has just stopped answering."""

MILLISECONDS = 1000

Answer = tuple[Any, str | None]
"""A result, or the sentence why there is none."""


def admin_client(settings: KafkaSettings, timeout_seconds: float) -> AdminClient:
    """A client for `Collector`."""
    # A connection that is refused is news for the page, not a line of log each second. A broker that lets a request
    # wait is not asked again until it has answered on a new connection.
    limits = {"log_level": 2, "socket.timeout.ms": round(timeout_seconds * MILLISECONDS)}
    return AdminClient(settings.client_config("newsroom-status") | limits)


class Collector:
    """Takes snapshots of one cluster, one at a time."""

    def __init__(
        self,
        admin: AdminClient,
        addresses: str,
        timeout_seconds: float,
        *,
        quorum: Callable[[], Future[Quorum]],
        groups: Callable[[Sequence[int]], Future[dict[int, list[FoundGroup] | str]]],
        tables: Callable[[], Tables],
    ) -> None:
        self._admin = admin
        self._quorum = quorum
        self._groups = groups
        self._addresses = addresses
        self._timeout = timeout_seconds
        self._tables = tables
        self._min_in_sync: dict[str, int] = {}
        self._configs_asked = -CONFIG_SECONDS
        self._coordinators: dict[str, int | None] = {}
        """Each group that is known, and its coordinator when it was last listed."""
        self._boot = f"{time.time_ns() // 1_000_000:x}"
        self._number = 0

    def collect(self) -> Snapshot:
        """Take a snapshot: commits first, ends second, so that no group seems to be ahead of its topic.

        Raises:
            ClusterUnavailable: no broker answered before the deadline.
        """
        limit = {"request_timeout": self._timeout}
        cluster_future = self._admin.describe_cluster(**limit)
        metadata = self._metadata()
        groups_future = self._groups(sorted(metadata.brokers))
        # Asked apart: the cluster's description names any living broker as the controller.
        quorum_future = self._quorum()
        deadline = Deadline(self._timeout + ANSWER_MARGIN_SECONDS)
        listed, listing_error = answer(groups_future, deadline)
        groups = self._heard(listed or {}, listing_error)
        topics = self._topics(metadata)
        partitions = by_key(topics)
        cluster, cluster_error = answer(cluster_future, deadline)
        quorum, quorum_error = answer(quorum_future, deadline)
        self._number += 1
        return Snapshot(
            id=f"{self._boot}-{self._number}",
            collected_at=datetime.now(UTC),
            cluster_id=metadata.cluster_id,
            controller_id=quorum.leader_id if quorum else None,
            controller_epoch=quorum.epoch if quorum else None,
            brokers=_brokers(cluster, metadata),
            topics=tuple(topics),
            groups=tuple(_with_progress(found, partitions) for found in groups),
            tables=self._tables(),
            error=joined(
                _during("describing the cluster", cluster_error),
                quorum_error,
                listing_error,
                *_silent(listed or {}),
            ),
        )

    def _metadata(self) -> Any:  # noqa: ANN401 - confluent-kafka is untyped
        errors = []
        for _ in range(METADATA_TRIES):
            try:
                return self._admin.list_topics(timeout=self._timeout / METADATA_TRIES)
            except KafkaException as error:
                errors.append(error)
        raise ClusterUnavailable(
            f"no broker of {self._addresses} answered within {self._timeout:g} s ({sentence(errors[-1])}): "
            f"are the brokers running?"
        ) from errors[-1]

    def _heard(self, answers: dict[int, list[FoundGroup] | str], error: str | None) -> list[FoundGroup]:
        """The groups, sorted. Those of a broker that does not answer are shown as known, with the reason."""
        silent: dict[int | None, str] = {each: text for each, text in answers.items() if isinstance(text, str)}
        lists = (found for found in answers.values() if not isinstance(found, str))
        heard = {found.group.id: found for found in chain.from_iterable(lists)}
        seen = {group_id: found.group.coordinator for group_id, found in heard.items()}
        # While a broker is silent nobody knows whether a group that is not listed is gone or about to move.
        self._coordinators = self._coordinators | seen if silent or error else seen
        for group_id, broker in self._coordinators.items():
            why = error or silent.get(broker, "no broker lists it now")
            heard.setdefault(group_id, FoundGroup(Group(group_id, coordinator=broker, error=why)))
        return [heard[group_id] for group_id in sorted(heard)]

    def _topics(self, metadata: Any) -> list[Topic]:  # noqa: ANN401
        found = metadata.topics.values()
        # A partition without leader cannot answer, and waiting for it would hold up all others.
        asked = [
            TopicPartition(topic.topic, number)
            for topic in found
            for number, partition in topic.partitions.items()
            if partition.leader >= 0
        ]
        # The high watermark, as kafka-consumer-groups shows it: not the last stable offset of read_committed.
        limit = {"isolation_level": IsolationLevel.READ_UNCOMMITTED, "request_timeout": self._timeout}
        latest = self._admin.list_offsets({item: OffsetSpec.latest() for item in asked}, **limit) if asked else {}
        earliest = self._admin.list_offsets({item: OffsetSpec.earliest() for item in asked}, **limit) if asked else {}
        self._read_configs([topic.topic for topic in found])
        deadline = Deadline(self._timeout + ANSWER_MARGIN_SECONDS)
        ends = {(item.topic, item.partition): answer(future, deadline) for item, future in latest.items()}
        lows = {(item.topic, item.partition): answer(future, deadline) for item, future in earliest.items()}
        return [
            Topic(
                name=topic.topic,
                partitions=tuple(
                    _partition(topic.topic, part, ends, lows) for _, part in sorted(topic.partitions.items())
                ),
                min_in_sync=self._min_in_sync.get(topic.topic),
                error=topic.error.str() if topic.error else None,
            )
            for topic in sorted(found, key=lambda topic: topic.topic)
        ]

    def _read_configs(self, names: list[str]) -> None:
        due = time.monotonic() - self._configs_asked >= CONFIG_SECONDS
        wanted = names if due else [name for name in names if name not in self._min_in_sync]
        if not wanted or (not due and time.monotonic() - self._configs_asked < self._timeout):
            return
        self._configs_asked = time.monotonic()
        futures = self._admin.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, name) for name in wanted], request_timeout=self._timeout
        )
        deadline = Deadline(self._timeout + ANSWER_MARGIN_SECONDS)
        for resource, future in futures.items():
            configs, _ = answer(future, deadline)
            if configs and "min.insync.replicas" in configs:
                self._min_in_sync[resource.name] = int(configs["min.insync.replicas"].value)


def answer(future: Future[Any], deadline: Deadline) -> Answer:
    """Wait for one answer of the cluster until the deadline."""
    try:
        return future.result(timeout=deadline.left()), None
    except KafkaException as error:
        return None, sentence(error)
    except ClusterUnavailable as error:
        return None, str(error)
    except TimeoutError:
        return None, f"no answer within {deadline.seconds:g} s"


def sentence(error: KafkaException) -> str:
    """The text of a Kafka error, without the wrapping."""
    inner = error.args[0] if error.args else error
    return str(inner.str()) if hasattr(inner, "str") else str(inner)


def _brokers(cluster: Any, metadata: Any) -> tuple[Broker, ...]:  # noqa: ANN401
    if cluster is None:
        # Not every principal may describe the cluster; the metadata names the brokers without their racks.
        return tuple(Broker(node.id, node.host, node.port) for _, node in sorted(metadata.brokers.items()))
    nodes = sorted(cluster.nodes, key=lambda node: node.id)
    return tuple(Broker(node.id, node.host, node.port, node.rack) for node in nodes)


def _partition(topic: str, found: Any, ends: dict[Key, Answer], lows: dict[Key, Answer]) -> Partition:  # noqa: ANN401
    if found.leader < 0:
        return Partition(found.id, None, tuple(found.replicas), tuple(found.isrs), error="the partition has no leader")
    end, end_error = _offset(ends.get((topic, found.id)), found.leader)
    low, low_error = _offset(lows.get((topic, found.id)), found.leader)
    return Partition(
        number=found.id,
        leader=found.leader,
        replicas=tuple(found.replicas),
        in_sync=tuple(found.isrs),
        low=low,
        end=end,
        error=end_error or low_error,
    )


def _offset(answer: Answer | None, leader: int) -> tuple[int | None, str | None]:
    """An offset that a leader told. Of one that went away under the question librdkafka gives -1001, and no error."""
    found, error = answer or (None, None)
    if found is None or found.offset >= 0:
        return (found.offset if found else None), error
    return None, f"its leader, broker {leader}, did not answer"


def _silent(answers: dict[int, list[FoundGroup] | str]) -> list[str]:
    return [f"listing the groups of broker {each}: {text}" for each, text in answers.items() if isinstance(text, str)]


def _with_progress(found: FoundGroup, partitions: dict[Key, Partition]) -> Group:
    rows = progress(found.committed or {}, found.group.members, partitions)
    return replace(found.group, partitions=tuple(rows))


def _during(step: str, error: str | None) -> str | None:
    return f"{step}: {error}" if error else None
