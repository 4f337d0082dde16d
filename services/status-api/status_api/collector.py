"""From the AdminClient's answers to a snapshot. Every call has a deadline; one bad item spoils only itself."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec

from newsroom.errors import ClusterUnavailable
from newsroom.lifecycle import Deadline
from status_api.model import Broker, Group, Key, Member, Partition, Snapshot, Topic, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from newsroom.group_offsets import Offsets
    from newsroom.quorum import Quorum
    from newsroom.settings import KafkaSettings
    from status_api.model import Tables

CONFIG_SECONDS = 30.0
"""min.insync.replicas hardly ever changes: it is asked for this seldom."""

ANSWER_MARGIN_SECONDS = 0.5
"""librdkafka ends a request itself after its timeout; its answer gets this much longer to arrive."""

GROUP_REQUEST_SECONDS = 3600.0
"""A description of a group that times out, or whose client is closed, while the group's coordinator is away makes
librdkafka (2.12 to 2.15) crash the process (its issues 3663 and 4605: the request's state is released twice). So such a
request is left open, for as long as the client allows, and asked again only when it is answered. For committed offsets,
whose answer alone can crash it, see `newsroom.group_offsets`."""

Answer = tuple[Any, str | None]
"""A result, or the sentence why there is none."""


def admin_client(settings: KafkaSettings) -> AdminClient:
    """A client for `Collector`."""
    # A connection that is refused is news for the page, not a line of log each second.
    return AdminClient(settings.client_config("newsroom-status") | {"log_level": 2})


class Collector:
    """Takes snapshots of one cluster, one at a time."""

    def __init__(
        self,
        admin: AdminClient,
        addresses: str,
        timeout_seconds: float,
        *,
        quorum: Callable[[], Future[Quorum]],
        offsets: Callable[[Sequence[Sequence[str]]], Future[dict[str, Offsets | str]]],
        tables: Callable[[], Tables],
    ) -> None:
        self._admin = admin
        self._described: dict[str, Future[Any]] = {}
        """The last question about each group."""
        self._coordinators: dict[str, int | None] = {}
        self._quorum = quorum
        self._offsets = offsets
        self._addresses = addresses
        self._timeout = timeout_seconds
        self._tables = tables
        self._min_in_sync: dict[str, int] = {}
        self._configs_asked = -CONFIG_SECONDS
        self._known_groups: set[str] = set()
        self._boot = f"{time.time_ns() // 1_000_000:x}"
        self._number = 0

    def collect(self) -> Snapshot:
        """Take a snapshot: commits first, ends second, so that no group seems to be ahead of its topic.

        Raises:
            ClusterUnavailable: no broker answered before the deadline.
        """
        limit = {"request_timeout": self._timeout}
        cluster_future = self._admin.describe_cluster(**limit)
        listing_future = self._admin.list_consumer_groups(**limit)
        metadata = self._metadata()
        # Asked apart: the cluster's description names any living broker as the controller.
        quorum_future = self._quorum()
        deadline = Deadline(self._timeout + ANSWER_MARGIN_SECONDS)
        listing, listing_error = answer(listing_future, deadline)
        groups = self._groups(self._group_ids(listing))
        topics = self._topics(metadata)
        by_name = {topic.name: topic for topic in topics}
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
            groups=tuple(_with_progress(group, commits, by_name) for group, commits in groups),
            tables=self._tables(),
            error=_joined(
                _during("describing the cluster", cluster_error),
                quorum_error,
                _during("listing the groups", listing_error),
                *(_during("listing the groups", text) for text in _texts(listing.errors if listing else ())),
            ),
        )

    def _metadata(self) -> Any:  # noqa: ANN401 - confluent-kafka is untyped
        try:
            return self._admin.list_topics(timeout=self._timeout)
        except KafkaException as error:
            raise ClusterUnavailable(
                f"no broker of {self._addresses} answered within {self._timeout:g} s ({sentence(error)}): "
                f"are the brokers running?"
            ) from error

    def _group_ids(self, listing: Any) -> list[str]:  # noqa: ANN401
        found = {item.group_id for item in listing.valid} if listing else set()
        # A broker that does not answer lists none of its groups: they are shown as they are, with an error.
        self._known_groups = found if listing and not listing.errors else self._known_groups | found
        return sorted(self._known_groups)

    def _groups(self, group_ids: list[str]) -> list[tuple[Group, Answer]]:
        """The groups, and their commits. All questions go out before the first answer is waited for."""
        offsets_future = self._offsets(self._by_coordinator(group_ids))
        self._describe(group_ids)
        deadline = Deadline(self._timeout)
        descriptions = {group_id: answer(self._described[group_id], deadline) for group_id in group_ids}
        offsets, offsets_error = answer(offsets_future, Deadline(deadline.left() + ANSWER_MARGIN_SECONDS))
        groups, coordinators = [], {}
        for group_id, (description, error) in descriptions.items():
            group = _group(description) if description else Group(group_id, error=error)
            coordinators[group_id] = group.coordinator or self._coordinators.get(group_id)
            groups.append((group, _commits(group_id, offsets, offsets_error)))
        self._coordinators = coordinators
        return groups

    def _by_coordinator(self, group_ids: list[str]) -> list[list[str]]:
        """The groups, those of one coordinator together, as the last snapshot saw it."""
        batches: dict[int | None, list[str]] = defaultdict(list)
        for group_id in group_ids:
            batches[self._coordinators.get(group_id)].append(group_id)
        return list(batches.values())

    def _describe(self, group_ids: list[str]) -> None:
        self._described = {group_id: future for group_id, future in self._described.items() if not future.done()}
        if unasked := [group_id for group_id in group_ids if group_id not in self._described]:
            self._described |= self._admin.describe_consumer_groups(unasked, request_timeout=GROUP_REQUEST_SECONDS)

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
    end, end_error = ends.get((topic, found.id), (None, None))
    low, low_error = lows.get((topic, found.id), (None, None))
    return Partition(
        number=found.id,
        leader=found.leader,
        replicas=tuple(found.replicas),
        in_sync=tuple(found.isrs),
        low=low.offset if low else None,
        end=end.offset if end else None,
        error=end_error or low_error,
    )


def _group(description: Any) -> Group:  # noqa: ANN401
    members = (
        Member(
            id=member.member_id,
            client_id=member.client_id,
            host=member.host.removeprefix("/"),
            instance_id=member.group_instance_id,
            assignment=tuple(sorted((item.topic, item.partition) for item in member.assignment.topic_partitions))
            if member.assignment
            else (),
        )
        for member in description.members
    )
    return Group(
        id=description.group_id,
        state=_name(description.state),
        protocol=_name(getattr(description, "type", None)),
        assignor=description.partition_assignor or None,
        coordinator=description.coordinator.id if description.coordinator else None,
        members=tuple(sorted(members, key=lambda member: (member.client_id, member.id))),
    )


def _commits(group_id: str, offsets: dict[str, Offsets | str] | None, error: str | None) -> Answer:
    """What is known of one group's commits."""
    if offsets is None:
        return None, error
    found = offsets.get(group_id, "not asked yet")
    return (None, found) if isinstance(found, str) else (found, None)


def _with_progress(group: Group, commits: Answer, topics: dict[str, Topic]) -> Group:
    committed, error = commits
    rows = progress(committed or {}, group.members, topics)
    return replace(group, partitions=tuple(rows), error=_joined(group.error, error))


def _name(value: Any) -> str:  # noqa: ANN401
    return value.name if value is not None else "UNKNOWN"


def _texts(errors: Any) -> list[str]:  # noqa: ANN401
    return sorted({sentence(error) if isinstance(error, KafkaException) else error.str() for error in errors or ()})


def _during(step: str, error: str | None) -> str | None:
    return f"{step}: {error}" if error else None


def _joined(*errors: str | None) -> str | None:
    return "; ".join(dict.fromkeys(error for error in errors if error)) or None
