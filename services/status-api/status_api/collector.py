"""Builds a snapshot from the cluster's answers. Every call has a deadline; a bad answer affects only its own item."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from functools import partial
from itertools import count
from sys import intern
from typing import TYPE_CHECKING, Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec

from newsroom.background import in_background
from newsroom.errors import ClusterUnavailable
from newsroom.kafka_errors import reason_of
from newsroom.waiting import Deadline
from status_api.answers import Answer, answer
from status_api.controller import Controller
from status_api.known import KnownBrokers, KnownGroups, KnownOffsets, SilentMembers
from status_api.model import Broker, Key, Partition, Reason, Snapshot, TopicState, one_line
from status_api.progress import Progress
from status_api.rebalances import RebalanceLog
from status_api.rows import by_key, with_offsets
from status_api.status import Judge
from status_api.timelag import TimeLags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from newsroom.access import Access
    from newsroom.admin.quorum import Quorum
    from newsroom.settings import KafkaSettings
    from status_api.figures import Tables
    from status_api.groups import GroupsByBroker
    from status_api.model import Group
    from status_api.tails import TailReader

    OffsetFutures = tuple[dict[TopicPartition, Future[Any]], ...]

CONFIG_SECONDS = 30.0
"""How often the topics' configuration is read; it hardly ever changes."""

SHOWN_CONFIGS = (
    *("cleanup.policy", "compression.type", "max.message.bytes", "message.timestamp.type", "min.insync.replicas"),
    *("retention.bytes", "retention.ms", "segment.bytes"),
)
"""What is kept of a topic's configuration, in this order."""

ANSWER_MARGIN_SECONDS = 0.5
"""librdkafka itself ends a request after its timeout; this is how much longer its answer may take to arrive."""

LOWS_SECONDS = 10.0
"""How often the oldest offsets are read: only retention moves them."""

LONGEST_SECONDS = 4.0
"""The longest wait for the groups. The reader itself waits for as long as the brokers took last, and a margin."""

METADATA_TRIES = 2
"""librdkafka asks any connected broker for metadata, even one that has just stopped answering."""

MILLISECONDS = 1000

OFFSETS_TOPIC = "__consumer_offsets"
"""The leader of one of its partitions is the coordinator of that partition's groups."""

Offsets = dict[Key, Answer]
Silence = dict[int | None, Reason]
"""The brokers that did not list their groups, and why."""


def admin_client(settings: KafkaSettings, timeout_seconds: float, access: Access) -> AdminClient:
    """Make the client for `Collector`; `access` notes what it reports when it is polled."""
    # After a socket timeout librdkafka uses a broker again only on a new connection.
    limits = {"error_cb": access.note, "socket.timeout.ms": round(timeout_seconds * MILLISECONDS)}
    return AdminClient(settings.client_config("newsroom-status") | limits, logger=logging.getLogger("librdkafka"))


class Collector:
    """Takes snapshots of one cluster, one at a time."""

    def __init__(
        self,
        admin: AdminClient,
        addresses: str,
        timeout_seconds: float,
        *,
        quorum: Callable[[], Future[Quorum]],
        groups: Callable[[Sequence[int]], Future[GroupsByBroker]],
        racks: Callable[[], Mapping[int, str | None]],
        tables: Callable[[], Tables],
        tails: TailReader,
    ) -> None:
        self._admin = admin
        self._controller = Controller(quorum)
        self._groups = groups
        self._racks = racks
        self._addresses = addresses
        self._timeout = timeout_seconds
        self._tables = tables
        self._configs: dict[str, dict[str, str]] = {}
        self._configs_read_at = -CONFIG_SECONDS
        self._configs_denied: dict[str, Reason] = {}
        self._known = KnownGroups()
        self._known_offsets = KnownOffsets()
        self._known_brokers = KnownBrokers()
        self._silent_members = SilentMembers()
        self._rebalances = RebalanceLog()
        self._progress = Progress()
        self._judge = Judge()
        self._time_lags = TimeLags()
        self._tails = tails
        self._looking: Future[None] | None = None
        self._lows: dict[Key, int] = {}
        self._lows_read_at = -LOWS_SECONDS
        self._boot = f"{time.time_ns() // 1_000_000:x}"
        self._numbers = count(1)

    def collect(self) -> Snapshot:
        """Take a snapshot. Commits are read before end offsets, so that a group never seems ahead of its topic.

        Raises:
            ClusterUnavailable: no broker answered before the deadline.
        """
        # First: while no broker answers, librdkafka's other requests connect again thousands of times a second.
        metadata = self._metadata()
        groups_future = self._groups(sorted(metadata.brokers))
        self._controller.start(metadata.brokers)
        deadline = Deadline(self._timeout + ANSWER_MARGIN_SECONDS)
        listed, silent, silence = _listed(groups_future)
        asked = time.time()
        offset_futures = self._ask_offsets(metadata)
        topics = self._topics(metadata, offset_futures)
        now = datetime.now(UTC)
        partitions = by_key(topics)
        self._time_lags.add(partitions, self._tails.tails, asked, now.timestamp())
        unlisted = silence or _unled(metadata)
        known = self._known.update(
            (with_offsets(group, partitions, self._time_lags) for group in listed), silent, unlisted
        )
        groups = self._judged(known, now)
        quorum, quorum_error = self._controller.result(deadline)
        return Snapshot(
            id=f"{self._boot}-{next(self._numbers)}",
            collected_at=now,
            rebalances=self._rebalances.update(groups, now, complete=unlisted is None),
            rebalance_totals=self._rebalances.totals,
            cluster_id=metadata.cluster_id,
            controller_id=quorum.leader_id if quorum else None,
            controller_epoch=quorum.epoch if quorum else None,
            brokers=self._brokers(metadata, topics, silent),
            topics=tuple(topics),
            groups=tuple(groups),
            tables=self._tables(),
            error=one_line(quorum_error, silence),
            unlisted=unlisted,
        )

    def _judged(self, groups: list[Group], now: datetime) -> list[Group]:
        """What the groups do, over time, and what is wrong with each."""
        groups = self._progress.update(self._silent_members.update(groups, now), self._tails.tails)
        self._look(groups)
        return self._judge.update(groups, self._retentions())

    def _retentions(self) -> dict[str, float]:
        """For how many seconds topics keep records; those that keep them for ever are left out."""
        return {
            name: int(config["retention.ms"]) / MILLISECONDS
            for name, config in self._configs.items()
            if "delete" in config.get("cleanup.policy", "") and config.get("retention.ms", "-1") != "-1"
        }

    def _look(self, groups: list[Group]) -> None:
        """Look into the log in the background; what is there counts in a later snapshot."""
        if self._looking is not None and not self._looking.done():
            return
        rows = (row for group in groups for row in group.partitions if row.tail is not None)
        places = {(row.topic, row.partition, max(row.committed or 0, row.low or 0)) for row in rows}
        wanted = [*self._progress.wanted, *(self._time_lags.wanted - self._progress.wanted)]
        self._tails.keep(places.union(wanted, self._time_lags.used))
        if wanted:
            self._looking = in_background(partial(self._tails.turn, wanted))

    def _metadata(self) -> Any:  # noqa: ANN401 - confluent-kafka is untyped
        self._admin.poll(0)  # an admin client hands on its log lines only when it is polled
        errors = []
        for _ in range(METADATA_TRIES):
            try:
                return self._admin.list_topics(timeout=self._timeout / METADATA_TRIES)
            except KafkaException as error:
                errors.append(error)
        raise ClusterUnavailable(
            f"no broker of {self._addresses} answered within {self._timeout:g} s ({reason_of(errors[-1])}): "
            f"are the brokers running?"
        ) from errors[-1]

    def _ask_offsets(self, metadata: Any) -> OffsetFutures:  # noqa: ANN401
        """Ask for the end and the oldest offset of every partition."""
        # A partition without a leader cannot answer, and waiting for it would delay all others.
        partitions = [
            TopicPartition(name, number)
            for name, topic in metadata.topics.items()
            for number, partition in topic.partitions.items()
            if partition.leader >= 0
        ]
        if not partitions:
            return {}, {}
        # The high watermark, as kafka-consumer-groups shows it, and not the last stable offset of read_committed.
        limit = {"isolation_level": IsolationLevel.READ_UNCOMMITTED, "request_timeout": self._timeout}
        ends = self._admin.list_offsets(dict.fromkeys(partitions, OffsetSpec.latest()), **limit)
        without = self._without_low(partitions)
        return ends, self._admin.list_offsets(dict.fromkeys(without, OffsetSpec.earliest()), **limit) if without else {}

    def _without_low(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """The partitions whose oldest offset is read now: at times all, else those of which it is not known."""
        if time.monotonic() - self._lows_read_at >= LOWS_SECONDS:
            self._lows_read_at = time.monotonic()
            return partitions
        return [key for key in partitions if (key.topic, key.partition) not in self._lows]

    def _topics(self, metadata: Any, futures: OffsetFutures) -> list[TopicState]:  # noqa: ANN401
        self._read_configs(list(metadata.topics))
        deadline = Deadline(self._timeout + ANSWER_MARGIN_SECONDS)
        ends, lows = (
            {(key.topic, key.partition): answer(future, deadline) for key, future in answers.items()}
            for answers in futures
        )
        topics = metadata.topics
        self._lows = {key: low for key, low in self._lows.items() if key[0] in topics}
        read = {
            name: [self._partition(name, part, ends, lows) for _, part in sorted(topic.partitions.items())]
            for name, topic in topics.items()
        }
        known = self._known_offsets.update(read, datetime.now(UTC))
        return [
            TopicState(
                name=name,
                partitions=known[name],
                min_in_sync=_number(self._configs.get(name, {}).get("min.insync.replicas")),
                configuration=self._configs.get(name, {}),
                error=topic.error.str() if topic.error else self._configs_denied.get(name),
            )
            for name, topic in sorted(topics.items())
        ]

    def _partition(self, topic: str, metadata: Any, ends: Offsets, lows: Offsets) -> Partition:  # noqa: ANN401
        key, leader = (topic, metadata.id), metadata.leader
        replicas, in_sync = tuple(metadata.replicas), tuple(metadata.isrs)
        if leader < 0:
            return Partition(metadata.id, None, replicas, in_sync, error="the partition has no leader")
        end, end_error = _offset(ends.get(key), leader)
        low, low_error = _offset(lows.get(key), leader)
        if low is not None:
            self._lows[key] = low
        elif end is not None and end < self._lows.get(key, 0):
            del self._lows[key]  # the topic was made anew
        return Partition(metadata.id, leader, replicas, in_sync, self._lows.get(key), end, end_error or low_error)

    def _brokers(self, metadata: Any, topics: list[TopicState], silent: Silence) -> tuple[Broker, ...]:  # noqa: ANN401
        racks = self._racks()
        named = [Broker(node.id, node.host, node.port, racks.get(node.id)) for node in metadata.brokers.values()]
        replicas = {node for topic in topics for partition in topic.partitions for node in partition.replicas}
        return self._known_brokers.update(named, replicas, silent, datetime.now(UTC))

    def _read_configs(self, names: list[str]) -> None:
        age = time.monotonic() - self._configs_read_at
        topics = names if age >= CONFIG_SECONDS else [name for name in names if name not in self._configs]
        if not topics or age < self._timeout:
            return
        self._configs_read_at = time.monotonic()
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
        futures = self._admin.describe_configs(resources, request_timeout=self._timeout)
        deadline = Deadline(self._timeout + ANSWER_MARGIN_SECONDS)
        for resource, future in futures.items():
            configs, reason = answer(future, deadline)
            self._configs_denied.pop(resource.name, None)
            if reason is not None:
                self._configs_denied[resource.name] = (
                    f"its settings cannot be read ({reason}); the ACL is DESCRIBE_CONFIGS"
                )
            if configs:
                shown = {name: configs[name].value for name in SHOWN_CONFIGS if name in configs}
                self._configs[resource.name] = {name: intern(value) for name, value in shown.items() if value}


def _listed(future: Future[GroupsByBroker]) -> tuple[list[Group], Silence, Reason | None]:
    """Wait for the groups; return them, the brokers that did not list theirs, and both causes as one sentence."""
    listing, error = answer(future, Deadline(LONGEST_SECONDS + ANSWER_MARGIN_SECONDS))
    silent: Silence = {broker: text for broker, text in (listing or {}).items() if isinstance(text, str)}
    groups = [group for told in (listing or {}).values() if not isinstance(told, str) for group in told]
    return (
        groups,
        silent,
        one_line(error, *(f"listing the groups of broker {node}: {text}" for node, text in silent.items())),
    )


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _unled(metadata: Any) -> Reason | None:  # noqa: ANN401
    """The reason why no broker coordinates some groups: a partition of Kafka's topic of offsets has no leader."""
    topic = metadata.topics.get(OFFSETS_TOPIC)
    unled = [part.id for part in topic.partitions.values() if part.leader not in metadata.brokers] if topic else []
    return f"partitions without a leader in {OFFSETS_TOPIC}: {len(unled)}" if unled else None


def _offset(answer: Answer | None, leader: int) -> tuple[int | None, Reason | None]:
    """Extract the offset. If the leader vanished during the request, librdkafka returns -1001 and no error."""
    result, error = answer or (None, None)
    if result is None or result.offset >= 0:
        return (result.offset if result else None), error
    return None, f"the partition's leader, broker {leader}, did not answer"
