"""What a snapshot of a cluster is, and the rules of lag. This module does not use a Kafka client."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from newsroom.topics import REGISTRY_GROUPS
from status_api.figures import NO_TABLES, Tables
from status_api.marks import FINDINGS, NOT_KNOWN, OK, REBALANCING, SETTLED, STOPPED, Finding, Tail, TimeLag, longest
from status_api.sums import sum_known, sum_of_commits, sum_of_lags
from status_api.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

UNKNOWN = "Unknown"
"""The state and the protocol of a group whose coordinator does not answer."""

INTERNAL_PREFIXES = ("_", "changelog__", "repartition__", "kafkasql-", "registry-events")
"""Prefixes of the topics of the brokers, Connect, Quix's state and the schema registry."""

Key = tuple[str, int]
"""A topic's name and a partition's number."""

Reason = str
"""A sentence that says why a value is missing."""


ALIVE, SILENT, GONE = "alive", "silent", "gone"
"""The states of a broker: it answers; the cluster names it, but it does not answer; replicas are placed on it, but the
cluster does not name it."""


@dataclass(frozen=True)
class Broker:
    """A broker of the cluster. Host and port of one that is gone may never have been known."""

    id: int
    host: str | None
    port: int | None
    rack: str | None = None
    state: str = ALIVE
    since: datetime | None = None
    """When the state began, or was first noticed; None if the broker has been alive all the time."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition. `low` is the oldest offset kept; `end` is the high watermark, the next record's offset."""

    number: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    low: int | None = None
    end: int | None = None
    error: str | None = None
    known_at: datetime | None = None
    """When `low` and `end` were read, if they could not be read now; None if they are of this snapshot."""

    @property
    def leader_is_preferred(self) -> bool:
        """Whether the leader is the preferred replica, which is the first one."""
        return self.leader == next(iter(self.replicas), None)

    @property
    def under_replicated(self) -> bool:
        """Whether a replica is not in sync."""
        return len(self.in_sync) < len(self.replicas)

    @property
    def records(self) -> int | None:
        """The number of offsets kept. It includes transaction markers and the gaps that compaction leaves."""
        return None if self.low is None or self.end is None else self.end - self.low


@dataclass(frozen=True)
class TopicState:
    """A topic with all its partitions."""

    name: str
    partitions: tuple[Partition, ...] = ()
    min_in_sync: int | None = None
    error: str | None = None
    configuration: Mapping[str, str] = field(default_factory=dict)
    """The settings that say how long records are kept and how they are written; empty if they are not known."""

    @property
    def internal(self) -> bool:
        """Whether the topic belongs to Kafka or a library, not to the users."""
        return self.name.startswith(INTERNAL_PREFIXES)

    @property
    def replication_factor(self) -> int:
        """The number of replicas of the least replicated partition."""
        return min((len(partition.replicas) for partition in self.partitions), default=0)

    @property
    def under_replicated(self) -> int:
        """The number of partitions with a replica that is not in sync."""
        return sum(partition.under_replicated for partition in self.partitions)

    @property
    def under_min_in_sync(self) -> int:
        """The number of partitions that refuse writes with acks=all."""
        return sum(len(partition.in_sync) < (self.min_in_sync or 0) for partition in self.partitions)

    @property
    def records(self) -> int | None:
        """The number of offsets kept in all partitions; None if one of them is not known."""
        return sum_known(partition.records for partition in self.partitions)

    @property
    def produced(self) -> int | None:
        """The number of offsets ever assigned in all partitions; None if one of them is not known."""
        return sum_known(partition.end for partition in self.partitions)


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member of a group. `assignment` holds the partitions assigned to it."""

    id: str
    client_id: str
    host: str
    instance_id: str | None = None
    assignment: tuple[Key, ...] = ()
    target: tuple[Key, ...] | None = None
    """The partitions that the member is to have. Only a group of the new protocol tells."""
    epoch: int | None = None
    """The last epoch of the group that the member has taken in; it trails the group's until the member answers."""
    silent_since: datetime | None = None
    """Since when the member's epoch trails the group's, if that is for longer than two heartbeats."""


@dataclass(frozen=True, slots=True)
class GroupPartition:
    """A group's position in one partition. None means not known or never committed, which is not zero."""

    topic: str
    partition: int
    committed: int | None = None
    low: int | None = None
    end: int | None = None
    member_id: str | None = None
    error: str | None = None
    known_at: datetime | None = None
    """When `low` and `end` were read, if they could not be read now."""
    gone: bool = False
    """Whether the topic or the partition no longer exists."""
    commit_unknown: bool = False
    """Whether the coordinator did not tell what was committed; without this, None was never committed."""
    tail: Tail | None = None
    """What waits after the commit; known only if the commit has not moved for some seconds."""
    stalled_seconds: float | None = None
    """For how long the commit has not moved although a record waits, if that is for too long."""
    time_lag: TimeLag | None = None
    """The lag in seconds; None if it is not known."""
    finding: Finding | None = None
    """What is wrong with the group in this partition."""

    @property
    def only_markers(self) -> bool:
        """Whether what the group lags behind are no records, but transaction markers or an open transaction."""
        return bool(self.lag) and self.tail is not None and not self.tail.waits

    @property
    def lag(self) -> int | None:
        """The end offset minus the committed offset; records that retention took are not counted.

        It is None if either is not known, and if the commit is beyond the end of a recreated or truncated topic.
        """
        if self.committed is None or self.end is None or self.committed > self.end:
            return None
        return self.end - max(self.committed, self.low or 0)


@dataclass(frozen=True)
class Group:
    """A consumer group with its members and its position in each partition."""

    id: str
    state: str = UNKNOWN
    """Kafka's own name for the state: Stable, PreparingRebalance, Empty and so on."""
    protocol: str = UNKNOWN
    """`classic` or `consumer` (KIP-848)."""
    assignor: str | None = None
    coordinator: int | None = None
    members: tuple[GroupMember, ...] = ()
    partitions: tuple[GroupPartition, ...] = ()
    epoch: int | None = None
    """Grows with each change of members or assignment. Only a group of the new protocol tells."""
    error: str | None = None
    unknown_since: datetime | None = None
    """When the values were read, if the coordinator does not tell them now; None if they are of this snapshot."""
    finding: Finding | None = None
    """What is wrong with the group as a whole."""

    @cached_property
    def lag(self) -> int | None:
        """The group's lag in all partitions."""
        return sum_of_lags(self.partitions)

    @cached_property
    def committed(self) -> int | None:
        """The sum of the committed offsets."""
        return sum_of_commits(self.partitions)

    @cached_property
    def time_lag(self) -> TimeLag | None:
        """How long ago the oldest record that the group has not read was produced."""
        return longest(self.partitions)

    @cached_property
    def lag_known_at(self) -> datetime | None:
        """When the oldest offset in `lag` was read; None if all are of this snapshot."""
        return min((row.known_at for row in self.partitions if row.known_at and row.lag is not None), default=None)

    @cached_property
    def findings(self) -> dict[str, list[GroupPartition]]:
        """The partitions with which something is wrong, by what it is, the worst first."""
        wrong = [row for row in self.partitions if row.finding is not None]
        if not wrong:
            return {}
        rows = {status: [row for row in wrong if row.finding and row.finding.status == status] for status in FINDINGS}
        return {status: wrong for status, wrong in rows.items() if wrong}

    @property
    def status(self) -> str:
        """The worst that was found; `ok` if that is nothing, `unknown` if the group could not be looked at."""
        if self.unknown_since is not None or self.state == UNKNOWN:
            return NOT_KNOWN
        worst = next(iter(self.findings), None) or (self.finding and self.finding.status)
        return worst or (OK if self.state in SETTLED or not self.partitions else REBALANCING)

    @cached_property
    def trouble(self) -> tuple[str, ...]:
        """What needs a look, in sentences with the figures."""
        sentences = []
        for status, rows in self.findings.items():
            worst = max((row.finding for row in rows if row.finding), key=lambda finding: finding.value)
            places = f"{len(rows)} partition{'' if len(rows) == 1 else 's'}, first {rows[0].topic}[{rows[0].partition}]"
            who = "The group has no member. " if status == STOPPED and not self.members else ""
            sentences.append(f"{who}{worst.text}: {places}.")
        return (*sentences, f"{self.finding.text}.") if self.finding else tuple(sentences)

    @property
    def caught_up(self) -> bool:
        """Whether no record waits, although the lag is above 0."""
        behind = [row for row in self.partitions if row.lag]
        return bool(behind) and all(row.only_markers for row in behind)

    @property
    def client_ids(self) -> dict[str, str]:
        """The client id of each member, by the member's id."""
        return {member.id: member.client_id for member in self.members}

    def by_topic(self) -> list[tuple[str, list[GroupPartition]]]:
        """Return the partitions, topic by topic."""
        return [(topic, list(rows)) for topic, rows in groupby(self.partitions, key=lambda row: row.topic)]


@dataclass(frozen=True)
class Move:
    """A partition that changed hands in a rebalance, from member to member. None is nobody."""

    topic: str
    partition: int
    before: str | None
    after: str | None
    seconds_without_owner: float
    """How long the group's description named no owner. A classic group names none while it rebalances, even if a member
    goes on with its partitions."""


@dataclass(frozen=True)
class Rebalance:
    """A change of a group's members, of its partitions' owners, or both. It has not ended if `ended` is None."""

    number: int
    group: str
    began: datetime
    ended: datetime | None = None
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    epoch: int | None = None
    cause: str | None = None
    members: dict[str, str] = field(default_factory=dict)
    """The client id of each member that took part, by the member's id."""


@dataclass(frozen=True)
class RebalanceTotals:
    """What the rebalances of a group add up to, since the service knows the group."""

    rebalances: int = 0
    moves: int = 0
    """Changes of the owner of a partition."""
    seconds_without_owner: float = 0.0
    """The sum over its partitions."""


NO_REBALANCES = RebalanceTotals()


@dataclass(frozen=True)
class Snapshot:
    """The cluster at one moment."""

    id: str
    collected_at: datetime
    cluster_id: str | None
    controller_id: int | None
    """The leader of the metadata quorum. It is not a broker if the controllers are separate nodes."""
    controller_epoch: int | None = None
    """A number that grows with every election of a controller."""
    brokers: tuple[Broker, ...] = ()
    topics: tuple[TopicState, ...] = ()
    groups: tuple[Group, ...] = ()
    tables: Tables = NO_TABLES
    surroundings: Surroundings = field(default_factory=Surroundings)
    rebalances: tuple[Rebalance, ...] = ()
    """The rebalances that are remembered, newest first."""
    rebalance_totals: Mapping[str, RebalanceTotals] = field(default_factory=dict)
    """Of each group that has rebalanced, by its id."""
    error: str | None = None
    """What is missing in this snapshot, because a part of the cluster did not answer."""
    unlisted: Reason | None = None
    """Why groups may exist that this snapshot does not have; None if it has all."""

    @property
    def alive(self) -> int:
        """The number of brokers that the cluster names."""
        return sum(broker.state != GONE for broker in self.brokers)

    def topic(self, name: str) -> TopicState | None:
        """Return the topic with this name."""
        return self._topics_by_name.get(name)

    @cached_property
    def _topics_by_name(self) -> dict[str, TopicState]:
        return {topic.name: topic for topic in self.topics}

    def group(self, group_id: str) -> Group | None:
        """Return the group with this id."""
        return self._groups_by_id.get(group_id)

    @cached_property
    def _groups_by_id(self) -> dict[str, Group]:
        return {group.id: group for group in self.groups}

    def leads(self, broker_id: int) -> int:
        """Return the number of partitions that a broker leads."""
        return self._leads[broker_id]

    @cached_property
    def _leads(self) -> Counter[int | None]:
        return Counter(partition.leader for topic in self.topics for partition in topic.partitions)

    def visible(self, *, internal: bool) -> Snapshot:
        """Return the snapshot with or without internal groups and topics, also in the groups' partitions."""
        return self if internal else self._public

    @cached_property
    def _public(self) -> Snapshot:
        groups = (
            replace(
                group,
                partitions=tuple(row for row in group.partitions if not row.topic.startswith(INTERNAL_PREFIXES)),
            )
            for group in self.groups
            if not group.id.startswith(REGISTRY_GROUPS)
        )
        return replace(
            self,
            topics=tuple(topic for topic in self.topics if not topic.internal),
            groups=tuple(groups),
            rebalances=tuple(event for event in self.rebalances if not event.group.startswith(REGISTRY_GROUPS)),
        )


def one_line(*errors: Reason | None) -> Reason | None:
    """Join the distinct errors to one line; None if there is no error."""
    return "; ".join(dict.fromkeys(error for error in errors if error)) or None
