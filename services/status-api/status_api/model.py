"""What a snapshot of a cluster is, and the rules of lag. Knows no Kafka client."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

UNKNOWN = "Unknown"
"""The state and the protocol of a group whose coordinator does not answer."""

INTERNAL_PREFIXES = ("_", "changelog__", "repartition__", "kafkasql-", "registry-events")
"""Topics of the brokers and of Connect, of Quix's state, and of the schema registry."""


@dataclass(frozen=True)
class Broker:
    """A living broker."""

    id: int
    host: str
    port: int
    rack: str | None = None


@dataclass(frozen=True)
class Partition:
    """A partition. `low` is the oldest offset kept, `end` the offset the next record takes (high watermark)."""

    number: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    low: int | None = None
    end: int | None = None
    error: str | None = None

    @property
    def under_replicated(self) -> bool:
        """Whether a replica is not in sync."""
        return len(self.in_sync) < len(self.replicas)

    @property
    def records(self) -> int | None:
        """Offsets kept: records, and the markers of transactions; compaction leaves gaps."""
        return None if self.low is None or self.end is None else self.end - self.low


@dataclass(frozen=True)
class Topic:
    """A topic with all its partitions."""

    name: str
    partitions: tuple[Partition, ...] = ()
    min_in_sync: int | None = None
    error: str | None = None

    @property
    def internal(self) -> bool:
        """Whether the topic belongs to Kafka's machinery, not to its users."""
        return self.name.startswith(INTERNAL_PREFIXES)

    @property
    def replication_factor(self) -> int:
        """Replicas of the least replicated partition."""
        return min((len(partition.replicas) for partition in self.partitions), default=0)

    @property
    def under_replicated(self) -> int:
        """Partitions with a replica that is not in sync."""
        return sum(partition.under_replicated for partition in self.partitions)

    @property
    def under_min_in_sync(self) -> int:
        """Partitions that refuse writes with acks=all."""
        return sum(len(partition.in_sync) < (self.min_in_sync or 0) for partition in self.partitions)

    @property
    def records(self) -> int | None:
        """Offsets kept in all partitions; None when one of them is not known."""
        return sum_known(partition.records for partition in self.partitions)

    @property
    def produced(self) -> int | None:
        """Offsets ever given out in all partitions; None when one of them is not known."""
        return sum_known(partition.end for partition in self.partitions)


@dataclass(frozen=True)
class Member:
    """A member of a group. `assignment` holds (topic, partition)."""

    id: str
    client_id: str
    host: str
    instance_id: str | None = None
    assignment: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class GroupPartition:
    """What a group has read of a partition. None means not known, or never committed; never zero."""

    topic: str
    partition: int
    committed: int | None = None
    low: int | None = None
    end: int | None = None
    member_id: str | None = None
    error: str | None = None

    @property
    def lag(self) -> int | None:
        """Records between the commit and the end, as kafka-consumer-groups shows them.

        None without a commit, without an end, and for a commit beyond the end: of a topic created anew or cut.
        """
        if self.committed is None or self.end is None or self.committed > self.end:
            return None
        return self.end - self.committed


@dataclass(frozen=True)
class Group:
    """A consumer group with its members and their progress."""

    id: str
    state: str = UNKNOWN
    """As Kafka names it: Stable, PreparingRebalance, Empty and so on."""
    protocol: str = UNKNOWN
    """`classic` or `consumer` (KIP-848)."""
    assignor: str | None = None
    coordinator: int | None = None
    members: tuple[Member, ...] = ()
    partitions: tuple[GroupPartition, ...] = ()
    error: str | None = None

    @property
    def lag(self) -> int | None:
        """Sum of the lags that are known; None when none is."""
        return sum_some(partition.lag for partition in self.partitions)

    @property
    def committed(self) -> int | None:
        """Sum of the committed offsets; None without any commit."""
        return sum_some(partition.committed for partition in self.partitions)

    def by_topic(self) -> list[tuple[str, list[GroupPartition]]]:
        """The partitions, topic by topic."""
        return [(topic, list(rows)) for topic, rows in groupby(self.partitions, key=lambda row: row.topic)]


@dataclass(frozen=True)
class Joined:
    """A record of words-joined."""

    word: str
    value: str
    timestamp_ms: int | None = None


@dataclass(frozen=True)
class Tables:
    """What was read from word-counts and words-joined."""

    top_words: tuple[tuple[str, int], ...] = ()
    distinct_words: int = 0
    words_counted: int = 0
    joined: tuple[Joined, ...] = ()
    """The last ones, newest first."""
    joined_total: int = 0
    complete: bool = True
    """False when there were more words than may be kept."""
    error: str | None = None


NO_TABLES = Tables()


@dataclass(frozen=True)
class Snapshot:
    """The cluster at one moment."""

    id: str
    collected_at: datetime
    cluster_id: str | None
    controller_id: int | None
    """The leader of the metadata quorum; with controllers of their own it is none of the brokers."""
    controller_epoch: int | None = None
    """Grows with every election of a controller."""
    brokers: tuple[Broker, ...] = ()
    topics: tuple[Topic, ...] = ()
    groups: tuple[Group, ...] = ()
    tables: Tables = NO_TABLES
    error: str | None = None
    """What is missing in this snapshot, when a part of the cluster did not answer."""

    def topic(self, name: str) -> Topic | None:
        """The topic of this name."""
        return next((topic for topic in self.topics if topic.name == name), None)

    def group(self, group_id: str) -> Group | None:
        """The group of this id."""
        return next((group for group in self.groups if group.id == group_id), None)

    def leads(self, broker_id: int) -> int:
        """Partitions that a broker leads."""
        return sum(partition.leader == broker_id for topic in self.topics for partition in topic.partitions)

    def visible(self, *, internal: bool) -> Snapshot:
        """The snapshot with or without internal topics, also in the groups' partitions."""
        if internal:
            return self
        groups = (
            replace(
                group,
                partitions=tuple(row for row in group.partitions if not row.topic.startswith(INTERNAL_PREFIXES)),
            )
            for group in self.groups
        )
        return replace(self, topics=tuple(topic for topic in self.topics if not topic.internal), groups=tuple(groups))


Key = tuple[str, int]
"""Topic and partition."""


def by_key(topics: Iterable[Topic]) -> dict[Key, Partition]:
    """All partitions of the topics: made once for a snapshot, whose groups have a row for each."""
    return {(topic.name, partition.number): partition for topic in topics for partition in topic.partitions}


def progress(
    committed: dict[Key, int], members: tuple[Member, ...], partitions: dict[Key, Partition]
) -> list[GroupPartition]:
    """A group's rows: every committed partition and every assigned one, with the newest offsets known."""
    owners = {key: member.id for member in members for key in member.assignment}
    rows = []
    for topic, number in sorted(committed.keys() | owners.keys()):
        found = partitions.get((topic, number))
        row = GroupPartition(
            topic=topic,
            partition=number,
            committed=committed.get((topic, number)),
            low=found.low if found else None,
            end=found.end if found else None,
            member_id=owners.get((topic, number)),
            error=found.error if found else "the topic or partition does not exist any more",
        )
        if row.committed is not None and row.end is not None and row.committed > row.end:
            row = replace(row, error=f"the commit lies beyond the end {row.end}: the topic was created anew or cut")
        rows.append(row)
    return rows


def joined(*errors: str | None) -> str | None:
    """Several errors as one line, each once; None when there is none."""
    return "; ".join(dict.fromkeys(error for error in errors if error)) or None


def sum_some(values: Iterable[int | None]) -> int | None:
    """The sum of the values that are known; None when none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def sum_known(values: Iterable[int | None]) -> int | None:
    """The sum of the values; None when one of them is not known."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
