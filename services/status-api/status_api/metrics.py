"""Prometheus metrics of the last snapshot, under the names that Kafka dashboards know (kafka_exporter's)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from status_api.model import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from status_api.model import Group, Partition, Snapshot, Topic
    from status_api.store import SnapshotSource

PARTITION = ["topic", "partition"]
GROUP_TOPIC = ["consumergroup", "topic"]
GROUP_PARTITION = ["consumergroup", "topic", "partition"]


class SnapshotMetrics(Collector):
    """Turns the newest snapshot into metrics at each scrape; asks Kafka nothing.

    What is not known has no series: a group that never committed is not at offset -1 or 0.
    """

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source

    @override
    def collect(self) -> Iterable[Metric]:
        reading = self._source.read()
        yield _gauge(
            "newsroom_status_up", "Whether the last snapshot is fresh: 1, or 0 when it is stale.", not reading.stale
        )
        yield CounterMetricFamily(
            "newsroom_status_refresh_failures_total", "Snapshots that could not be taken.", value=reading.failures
        )
        if reading.snapshot is None:
            return
        yield _gauge("newsroom_status_snapshot_age_seconds", "Age of the snapshot served.", reading.age_seconds or 0.0)
        yield _gauge(
            "newsroom_status_last_success_timestamp_seconds",
            "When the last snapshot was taken.",
            reading.last_success or 0.0,
        )
        yield from _cluster(reading.snapshot)
        yield from _partitions(reading.snapshot.topics)
        yield from _groups(reading.snapshot.groups)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _cluster(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("kafka_brokers", "Number of brokers in the cluster.", len(snapshot.brokers))
    info = GaugeMetricFamily("kafka_broker_info", "A broker and its address.", labels=["id", "address"])
    for broker in snapshot.brokers:
        info.add_metric([str(broker.id), f"{broker.host}:{broker.port}"], 1)
    yield info
    if snapshot.controller_id is not None:
        yield _gauge("newsroom_status_controller_id", "The active controller's node.", snapshot.controller_id)
    partitions = GaugeMetricFamily("kafka_topic_partitions", "Number of partitions of a topic.", labels=["topic"])
    for topic in snapshot.topics:
        partitions.add_metric([topic.name], len(topic.partitions))
    yield partitions


def _partitions(topics: tuple[Topic, ...]) -> Iterator[Metric]:
    texts = {
        "current_offset": "End offset of a partition.",
        "oldest_offset": "Oldest offset kept of a partition.",
        "leader": "Leader of a partition.",
        "leader_is_preferred": "Whether the preferred replica leads.",
        "replicas": "Replicas of a partition.",
        "in_sync_replica": "Replicas in sync.",
        "under_replicated_partition": "Whether a replica is not in sync.",
    }
    families = {
        name: GaugeMetricFamily(f"kafka_topic_partition_{name}", text, labels=PARTITION) for name, text in texts.items()
    }
    for topic in topics:
        for partition in topic.partitions:
            for name, value in _partition_values(partition).items():
                if value is not None:
                    families[name].add_metric([topic.name, str(partition.number)], value)
    yield from families.values()


def _partition_values(partition: Partition) -> dict[str, float | None]:
    preferred = partition.replicas[0] if partition.replicas else None
    return {
        "current_offset": partition.end,
        "oldest_offset": partition.low,
        "leader": partition.leader,
        "leader_is_preferred": partition.leader == preferred,
        "replicas": len(partition.replicas),
        "in_sync_replica": len(partition.in_sync),
        "under_replicated_partition": partition.under_replicated,
    }


def _groups(groups: tuple[Group, ...]) -> Iterator[Metric]:
    name = "kafka_consumergroup"
    offset = GaugeMetricFamily(f"{name}_current_offset", "Committed offset of a group.", labels=GROUP_PARTITION)
    offsets = GaugeMetricFamily(f"{name}_current_offset_sum", "Committed offsets of a topic.", labels=GROUP_TOPIC)
    lag = GaugeMetricFamily(f"{name}_lag", "Records a group is behind.", labels=GROUP_PARTITION)
    lags = GaugeMetricFamily(f"{name}_lag_sum", "Records a group is behind in a topic.", labels=GROUP_TOPIC)
    members = GaugeMetricFamily(f"{name}_members", "Members of a group.", labels=["consumergroup"])
    for group in groups:
        if group.state != UNKNOWN:
            members.add_metric([group.id], len(group.members))
        for topic, rows in group.by_topic():
            for row in rows:
                labels = [group.id, topic, str(row.partition)]
                if row.committed is not None:
                    offset.add_metric(labels, row.committed)
                if row.lag is not None:
                    lag.add_metric(labels, row.lag)
            committed = [row.committed for row in rows if row.committed is not None]
            if committed:
                offsets.add_metric([group.id, topic], sum(committed))
            known = [row.lag for row in rows if row.lag is not None]
            if known:
                lags.add_metric([group.id, topic], sum(known))
    yield from (offset, offsets, lag, lags, members)
