"""Prometheus metrics of the last snapshot and of the attempts.

The names are those of kafka_exporter and kafka-lag-exporter, which dashboards use, and our own for what they lack.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from status_api.exposition import Rows
from status_api.marks import STATUSES
from status_api.model import GONE, NO_REBALANCES, UNKNOWN
from status_api.sums import sum_of_commits, sum_of_lags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from status_api.exposition import Row
    from status_api.model import Group, GroupPartition, Partition, Snapshot, TopicState
    from status_api.store import SnapshotStore

PARTITION = ["topic", "partition"]
GROUP_TOPIC = ["consumergroup", "topic"]
GROUP_PARTITION = ["consumergroup", "topic", "partition"]
CLUSTER = ["cluster_name"]

PARTITION_METRICS: dict[str, tuple[str, Callable[[Partition], float | None]]] = {
    "current_offset": ("End offset of a partition.", lambda partition: partition.end),
    "oldest_offset": ("Oldest offset that a partition keeps.", lambda partition: partition.low),
    "leader": ("Node id of a partition's leader.", lambda partition: partition.leader),
    "leader_is_preferred": (
        "1 if the preferred replica is the leader, 0 otherwise.",
        lambda partition: partition.leader_is_preferred,
    ),
    "replicas": ("Number of replicas of a partition.", lambda partition: len(partition.replicas)),
    "in_sync_replica": ("Number of in-sync replicas of a partition.", lambda partition: len(partition.in_sync)),
    "under_replicated_partition": (
        "1 if a replica of the partition is not in sync, 0 otherwise.",
        lambda partition: partition.under_replicated,
    ),
}
"""The metrics of a partition without their prefix: the help text, and the value."""


class StoreMetrics(Collector):
    """How old the newest snapshot is, and what came of the attempts to take one. Read at each scrape."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store

    @override
    def collect(self) -> Iterable[Metric]:
        latest = self._store.read()
        yield _gauge("newsroom_status_up", "1 if the last snapshot is fresh, 0 if it is stale.", not latest.stale)
        yield CounterMetricFamily(
            "newsroom_status_refresh_failures_total", "Attempts to take a snapshot that failed.", value=latest.failures
        )
        if latest.snapshot is None:
            return
        yield _gauge("newsroom_status_snapshot_age_seconds", "Age of the last snapshot.", latest.age_seconds or 0.0)
        time_name = "newsroom_status_last_success_timestamp_seconds"
        yield _gauge(time_name, "When the last snapshot was taken.", latest.last_success or 0.0)


class SnapshotMetrics(Collector):
    """Turns a snapshot into metrics, without a request to Kafka.

    An unknown value has no series: a group that has never committed is not at offset -1 or 0.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @override
    def collect(self) -> Iterable[Metric]:
        yield from _cluster(self._snapshot)
        yield from _partitions(self._snapshot.topics)
        yield from _groups(self._snapshot.groups)
        yield from _lag_exporter(self._snapshot)
        yield from _group_health(self._snapshot)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, value)


def _cluster(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("kafka_brokers", "Number of brokers in the cluster.", snapshot.alive)
    info = GaugeMetricFamily("kafka_broker_info", "Id and address of a broker; always 1.", labels=["id", "address"])
    for broker in snapshot.brokers:
        if broker.state == GONE:
            continue
        info.add_metric([str(broker.id), f"{broker.host}:{broker.port}"], 1)
    yield info
    if snapshot.controller_id is not None:
        yield _gauge("newsroom_status_controller_id", "Node id of the active controller.", snapshot.controller_id)
    partitions = GaugeMetricFamily("kafka_topic_partitions", "Number of partitions of a topic.", labels=["topic"])
    for topic in snapshot.topics:
        partitions.add_metric([topic.name], len(topic.partitions))
    yield partitions


def _partitions(topics: tuple[TopicState, ...]) -> Iterator[Metric]:
    for name, (text, value) in PARTITION_METRICS.items():
        family = GaugeMetricFamily(f"kafka_topic_partition_{name}", text, labels=PARTITION)
        for topic in topics:
            for partition in topic.partitions:
                _add(family, [topic.name, str(partition.number)], value(partition))
        yield family


def _groups(groups: tuple[Group, ...]) -> Iterator[Metric]:
    name = "kafka_consumergroup"
    for metric, text, value in (
        ("current_offset", "Committed offset of a group.", _committed),
        ("lag", "Records by which a group is behind in a partition.", _lag),
    ):
        yield Rows(f"{name}_{metric}", text, GROUP_PARTITION, partial(_group_rows, groups, value))
    for metric, text, total in (
        ("current_offset_sum", "Sum of committed offsets in a topic.", sum_of_commits),
        ("lag_sum", "Records by which a group is behind in a topic.", sum_of_lags),
    ):
        yield Rows(f"{name}_{metric}", text, GROUP_TOPIC, partial(_topic_rows, groups, total))
    members = GaugeMetricFamily(f"{name}_members", "Number of members of a group.", labels=["consumergroup"])
    for group in groups:
        if group.state != UNKNOWN or group.unknown_since:
            members.add_metric([group.id], len(group.members))
    yield members


def _committed(row: GroupPartition) -> float | None:
    return row.committed


def _lag(row: GroupPartition) -> float | None:
    return row.lag


def _seconds(row: GroupPartition) -> float | None:
    return row.time_lag.seconds if row.time_lag else None


def _group_rows(
    groups: tuple[Group, ...], value: Callable[[GroupPartition], float | None], *cluster: str
) -> Iterator[Row]:
    for group in groups:
        for row in group.partitions:
            yield [*cluster, group.id, row.topic, str(row.partition)], value(row)


def _topic_rows(
    groups: tuple[Group, ...], total: Callable[[list[GroupPartition]], float | None], *cluster: str
) -> Iterator[Row]:
    for group in groups:
        for topic, rows in group.by_topic():
            yield [*cluster, group.id, topic], total(rows)


def _lag_exporter(snapshot: Snapshot) -> Iterator[Metric]:
    """The metrics of kafka-lag-exporter, without its labels of members: each restart of one would make new series."""
    cluster = snapshot.cluster_id or ""
    for name, source in (("latest", "current_offset"), ("earliest", "oldest_offset")):
        text, offset = PARTITION_METRICS[source]
        family = GaugeMetricFamily(f"kafka_partition_{name}_offset", text, labels=CLUSTER + PARTITION)
        for topic in snapshot.topics:
            for partition in topic.partitions:
                _add(family, [cluster, topic.name, str(partition.number)], offset(partition))
        yield family
    yield from _lag_exporter_partitions(cluster, snapshot.groups)
    yield from _lag_exporter_groups(cluster, snapshot.groups)


def _lag_exporter_partitions(cluster: str, groups: tuple[Group, ...]) -> Iterator[Metric]:
    labels = [*CLUSTER, "group", *PARTITION]
    for metric, text, value in (
        ("offset", "Committed offset of a group.", _committed),
        ("lag", "Records by which a group is behind in a partition.", _lag),
        ("lag_seconds", "Age of the first record of a partition that a group has not read.", _seconds),
    ):
        rows = partial(_group_rows, groups, value, cluster)
        yield Rows(f"kafka_consumergroup_group_{metric}", text, labels, rows)


def _lag_exporter_groups(cluster: str, groups: tuple[Group, ...]) -> Iterator[Metric]:
    name, labels = "kafka_consumergroup_group", [*CLUSTER, "group"]
    most = GaugeMetricFamily(f"{name}_max_lag", "Highest lag of a group in one partition.", labels=labels)
    longest = GaugeMetricFamily(f"{name}_max_lag_seconds", "Highest lag of a group in seconds.", labels=labels)
    total = GaugeMetricFamily(f"{name}_sum_lag", "Records by which a group is behind.", labels=labels)
    for group in groups:
        values = [cluster, group.id]
        if group.lag is not None:
            most.add_metric(values, max(row.lag or 0 for row in group.partitions))
        _add(longest, values, group.time_lag.seconds if group.time_lag else None)
        _add(total, values, group.lag)
    yield from (most, longest, total)
    rows = partial(_topic_rows, groups, sum_of_lags, cluster)
    yield Rows(f"{name}_topic_sum_lag", "Records by which a group is behind in a topic.", [*labels, "topic"], rows)


def _group_health(snapshot: Snapshot) -> Iterator[Metric]:
    name, labels = "newsroom_status_group", ["group"]
    count = CounterMetricFamily(f"{name}_rebalances", "Rebalances of a group that have ended.", labels=labels)
    moves = CounterMetricFamily(f"{name}_moves", "Changes of the owner of a partition in rebalances.", labels=labels)
    unowned = CounterMetricFamily(
        f"{name}_unowned_seconds", "Seconds in rebalances in which partitions had no owner, added up.", labels=labels
    )
    for group in snapshot.groups:
        total = snapshot.rebalance_totals.get(group.id, NO_REBALANCES)
        count.add_metric([group.id], total.rebalances)
        moves.add_metric([group.id], total.moves)
        unowned.add_metric([group.id], total.seconds_without_owner)
    yield from (count, moves, unowned)
    text = "1 for the status that a group has, 0 for the others."
    yield Rows(f"{name}_status", text, [*labels, "status"], partial(_status_rows, snapshot.groups))


def _status_rows(groups: tuple[Group, ...]) -> Iterator[Row]:
    for group in groups:
        current = group.status
        for status in STATUSES:
            yield [group.id, status], status == current
