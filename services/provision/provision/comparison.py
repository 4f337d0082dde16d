"""Compares the cluster's topics with the declared ones. This module uses no Kafka client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsroom.errors import TopicMismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsroom.topics import DeclaredTopic


@dataclass(frozen=True)
class PartitionState:
    """A partition as the cluster's metadata describes it; leader -1 means that it has no leader."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def in_sync_replicas(self) -> int:
        """How many of its replicas are in sync."""
        return len(set(self.replicas) & set(self.in_sync))


def differences(topic: DeclaredTopic, partitions: Sequence[PartitionState], config: Mapping[str, str]) -> list[str]:
    """Describe each difference of a topic from its declaration; configuration that is not declared does not count."""
    problems = []
    if len(partitions) != topic.partitions:
        problems.append(f"{topic.name} has {len(partitions)} partitions, declared {topic.partitions}")
    factors = sorted({len(partition.replicas) for partition in partitions} - {topic.replication_factor})
    if factors:
        text = " and ".join(str(factor) for factor in factors)
        problems.append(f"{topic.name} has replication factor {text}, declared {topic.replication_factor}")
    for name, declared in topic.full_config().items():
        value = config.get(name)
        if value != declared:
            problems.append(f"{topic.name} has {name}={value if value is not None else '(none)'}, declared {declared}")
    return problems


def refuse_differences(
    topics: Iterable[DeclaredTopic],
    partitions: Mapping[str, Sequence[PartitionState]],
    configs: Mapping[str, Mapping[str, str]],
) -> None:
    """Raise an error if a topic is not as declared.

    Raises:
        TopicMismatch: the error lists every difference of every topic.
    """
    problems = [text for topic in topics for text in differences(topic, partitions[topic.name], configs[topic.name])]
    if problems:
        raise TopicMismatch(
            f"existing topics are not as declared: {'; '.join(problems)}. Provision did not change them: alter them "
            "with Kafka's tools, or delete them with their records, and run provision again"
        )


def unsettled(partitions: Mapping[str, Sequence[PartitionState]], replicas: int | None = None) -> list[str]:
    """Describe each partition that has no leader or has fewer in-sync replicas than `replicas` (by default, all)."""
    return [
        f"{name} partition {partition.number} ({partition.in_sync_replicas} of "
        f"{len(partition.replicas)} replicas in sync{'' if partition.leader >= 0 else ', no leader'})"
        for name, topic_partitions in partitions.items()
        for partition in topic_partitions
        if partition.leader < 0 or partition.in_sync_replicas < (replicas or len(partition.replicas))
    ]


def summary(name: str, partitions: Sequence[PartitionState], *, created: bool) -> str:
    """The log line for a topic; not all of its replicas need to be in sync."""
    fewest = min(partition.in_sync_replicas for partition in partitions)
    replicas = min(len(partition.replicas) for partition in partitions)
    return (
        f"topic {name}: {len(partitions)} partitions, replication {replicas}, "
        f"{'in sync' if fewest >= replicas else f'{fewest} in sync'} "
        f"({'created' if created else 'exists'})"
    )
