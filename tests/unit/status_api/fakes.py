from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient

from newsroom.health import Health
from status_api.app import create_app
from status_api.figures import JoinedRecord, Tables
from status_api.marks import Tail
from status_api.model import (
    Broker,
    Group,
    GroupMember,
    GroupPartition,
    Partition,
    RebalanceTotals,
    Snapshot,
    TopicState,
)
from status_api.rows import by_key, with_offsets
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from status_api.surroundings import Connector, Service, Subject, Surroundings, Task, Told
from status_api.timelag import TimeLags


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """The application over a store and a clock that tests move."""

    clock: Clock = field(default_factory=Clock)
    settings: StatusSettings = field(default_factory=StatusSettings)

    def __post_init__(self) -> None:
        self.store = SnapshotStore(1.0, self.clock, lambda: 1_700_000_000.0)
        self.app = create_app(self.store, Health(), self.settings)
        self.client: FlaskClient = self.app.test_client()

    def json(self, path: str) -> Any:  # noqa: ANN401 - JSON values
        """The body of a good answer."""
        response = self.client.get(path)
        assert response.status_code == 200
        return response.json


def a_topic(name: str, ends: list[int], in_sync: tuple[int, ...] = (1, 2, 3)) -> TopicState:
    partitions = tuple(Partition(i, 1 + i % 3, (1, 2, 3), in_sync, low=0, end=end) for i, end in enumerate(ends))
    return TopicState(name, partitions, min_in_sync=2)


def commits(offsets: dict[tuple[str, int], int]) -> tuple[GroupPartition, ...]:
    """The rows of a group that has committed these offsets."""
    return tuple(GroupPartition(topic, number, offset) for (topic, number), offset in offsets.items())


def a_snapshot(number: int = 1) -> Snapshot:
    topics = {
        topic.name: topic
        for topic in (
            a_topic("__consumer_offsets", [9]),
            a_topic("mytopic", [100, 20, 3, 0, 0]),
            a_topic("news", [7, 7, 7, 7, 7, 7]),
            a_topic("news.dlq", [1, 0, 0, 0, 0, 1]),
            a_topic("word", [2, 0, 0, 0, 0, 0], in_sync=(1, 2)),
            a_topic("word-counts", [50, 50, 50, 50, 50, 50]),
            a_topic("words-joined", [2, 0, 0, 0, 0, 0]),
        )
    }
    partitions = by_key(topics.values())
    collected_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    now, lags = collected_at.timestamp(), TimeLags()
    lags.add(partitions, {("news", 0, 5): Tail(True, 6, round(now * 1000) - 2500)}, now, now)
    member = GroupMember("m-1", "avro-consumer-0", "127.0.0.1", "avro-0", (("news", 0), ("news", 1)))
    committed = {("news", 0): 5, ("news", 2): 7, ("__consumer_offsets", 0): 1}
    groups = (
        Group("avro-consumer", "Stable", "classic", "range", 1, (member,), commits(committed)),
        Group("connect-local-file-sink", "Empty", partitions=commits({("mytopic", 0): 90})),
        Group("forbidden", error="Group authorization failed"),
    )
    tables = Tables(
        top_words=(("kafka", 21), ("<b>", 3)),
        distinct_words=2,
        words_counted=24,
        joined=(JoinedRecord("value10", "(6, active)", 1_700_000_000_000),),
        joined_total=1,
    )
    return Snapshot(
        id=f"boot-{number}",
        collected_at=collected_at,
        cluster_id="cluster",
        controller_id=2,
        controller_epoch=5,
        brokers=tuple(Broker(i, "localhost", 29092 + i) for i in (1, 2, 3)),
        topics=tuple(topics.values()),
        groups=tuple(with_offsets(group, partitions, lags) for group in groups),
        rebalance_totals={"avro-consumer": RebalanceTotals(3, 4, 5.5)},
        tables=tables,
    )


def surroundings(at: datetime) -> Surroundings:
    """A schema with two versions, a connector with a failed task, and a service that is not ready."""
    tasks = (Task(0, "RUNNING", "w:8083", None), Task(1, "FAILED", "w:8083", "disk full"))
    return Surroundings(
        Told((Subject("news-value", (1, 2), 7, "AVRO", "newsroom.Article"),), at),
        Told((Connector("file-sink", "sink", "RUNNING", "w:8083", None, tasks),), at, "no answer: <b>"),
        Told((Service("join-service", "127.0.0.1:8130", ready=False, missing=("waiting for Kafka",)),), at),
    )
