"""What the cluster has compared with what is declared. Knows no Kafka client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsroom.errors import TopicMismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsroom.topics import Topic


@dataclass(frozen=True)
class FoundPartition:
    """A partition as the cluster's metadata describes it; a leader of -1 is none."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    def settled(self) -> bool:
        """Whether it has a leader and every replica is in sync."""
        return self.leader >= 0 and set(self.replicas) <= set(self.in_sync)


def missing(declared: Iterable[Topic], existing: Mapping[str, object]) -> list[Topic]:
    """The declared topics that do not exist."""
    return [topic for topic in declared if topic.name not in existing]


def differences(topic: Topic, partitions: Sequence[FoundPartition], config: Mapping[str, str]) -> list[str]:
    """In words, each way in which a topic is not as declared; undeclared configuration is not looked at."""
    found = []
    if len(partitions) != topic.partitions:
        found.append(f"{topic.name} has {len(partitions)} partitions, declared {topic.partitions}")
    factors = sorted({len(partition.replicas) for partition in partitions} - {topic.replication_factor})
    if factors:
        have = " and ".join(str(factor) for factor in factors)
        found.append(f"{topic.name} has replication factor {have}, declared {topic.replication_factor}")
    for name, declared in topic.full_config().items():
        value = config.get(name)
        if value != declared:
            found.append(f"{topic.name} has {name}={value if value is not None else '(none)'}, declared {declared}")
    return found


def refuse(found: Sequence[str]) -> None:
    """Do nothing without differences.

    Raises:
        TopicMismatch: one sentence with all of them.
    """
    if found:
        raise TopicMismatch(
            f"existing topics are not as declared: {'; '.join(found)}. Nothing was changed on them: alter them with "
            "Kafka's tools, or delete them with their records, and run provision again"
        )


def unsettled(partitions: Mapping[str, Sequence[FoundPartition]]) -> list[str]:
    """In words, each partition that still lacks a leader or an in-sync replica."""
    return [
        f"{name} partition {partition.number} ({len(set(partition.replicas) & set(partition.in_sync))} of "
        f"{len(partition.replicas)} replicas in sync{'' if partition.leader >= 0 else ', no leader'})"
        for name, items in partitions.items()
        for partition in items
        if not partition.settled()
    ]


def summary(topic: Topic, *, created: bool) -> str:
    """The line for the reader about a topic that is as declared and in sync."""
    return (
        f"topic {topic.name}: {topic.partitions} partitions, replication {topic.replication_factor}, in sync "
        f"({'created' if created else 'exists'})"
    )


def registered(subject: str, schema_id: int, compatibility: str) -> str:
    """The line for the reader about a registered schema."""
    return f"subject {subject}: schema id {schema_id}, compatibility {compatibility}"


def running(connector: str, tasks: int) -> str:
    """The line for the reader about a connector that runs."""
    return f"connector {connector}: running, {tasks} task{'' if tasks == 1 else 's'}"
