"""The collector over librdkafka's mock cluster, which knows no groups, and over a fake AdminClient, which does."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from newsroom.errors import ClusterUnavailable
from newsroom.quorum import Quorum
from status_api.collector import GROUP_REQUEST_SECONDS, Collector
from status_api.model import NO_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from newsroom.group_offsets import Offsets

QUIET = {"log_level": 0}


def done(value: object) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def refused() -> KafkaException:
    return KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))


class FakeAdmin:
    """Two groups on one topic of three partitions: one healthy, one that may not be read; partition 2 is dead."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.batches: list[list[list[str]]] = []
        self.node = SimpleNamespace(id=1, host="b1", port=9092, rack="r")
        # Under KRaft a broker names any living broker as the controller: not what the page may show.
        self.cluster: object = SimpleNamespace(controller=self.node, nodes=[self.node])

    def describe_cluster(self, **_: object) -> Future[Any]:
        return done(self.cluster)

    def list_consumer_groups(self, **_: object) -> Future[Any]:
        valid = [SimpleNamespace(group_id=name, state=SimpleNamespace(name="STABLE")) for name in ("good", "bad")]
        return done(SimpleNamespace(valid=valid, errors=[]))

    def list_topics(self, **_: object) -> object:
        partitions = {i: SimpleNamespace(id=i, leader=-1 if i == 2 else 1, replicas=[1, 2], isrs=[1]) for i in range(3)}
        topic = SimpleNamespace(topic="t", partitions=partitions, error=None)
        return SimpleNamespace(topics={"t": topic}, brokers={1: self.node}, cluster_id="c")

    def describe_consumer_groups(self, ids: list[str], **_: object) -> dict[str, Future[Any]]:
        assert sorted(ids) == ["bad", "good"]
        assignment = SimpleNamespace(topic_partitions=[SimpleNamespace(topic="t", partition=i) for i in (0, 1)])
        member = SimpleNamespace(
            member_id="m", client_id="c", host="/10.0.0.1", group_instance_id=None, assignment=assignment
        )
        good = SimpleNamespace(
            group_id="good",
            state=SimpleNamespace(name="STABLE"),
            type=SimpleNamespace(name="CLASSIC"),
            partition_assignor="range",
            coordinator=self.node,
            members=[member],
        )
        return {"good": done(good), "bad": done(refused())}

    def offsets(self, batches: Sequence[Sequence[str]]) -> Future[dict[str, Offsets | str]]:
        """What `OffsetsReader.ask` answers."""
        self.calls.append("commits")
        self.batches.append([sorted(batch) for batch in batches])
        return done({"bad": "the cluster does not let this user read the group", "good": {("t", 0): 4}})

    def list_offsets(self, asked: dict[Any, Any], **_: object) -> dict[Any, Future[Any]]:
        self.calls.append("ends")
        assert {item.partition for item in asked} == {0, 1}
        latest = type(next(iter(asked.values()))).__name__ == "LatestSpec"
        return {item: done(SimpleNamespace(offset=10 if latest else 2)) for item in asked}

    def describe_configs(self, resources: list[Any], **_: object) -> dict[Any, Future[Any]]:
        self.calls.append("configs")
        return {item: done({"min.insync.replicas": SimpleNamespace(value="2")}) for item in resources}


def unasked(_: object) -> Future[Any]:
    return done(ClusterUnavailable("not asked"))


def collector(
    admin: FakeAdmin,
    quorum: Quorum | Exception = Quorum(3, 12),  # noqa: B008 - it is frozen
    timeout: float = 1.0,
) -> Collector:
    return Collector(
        cast("AdminClient", admin),
        "b1:9092",
        timeout,
        quorum=lambda: done(quorum),
        offsets=admin.offsets,
        tables=lambda: NO_TABLES,
    )


def blind_collector(addresses: str) -> Collector:
    """A collector over librdkafka alone."""
    admin = AdminClient({"bootstrap.servers": addresses, **QUIET})
    return Collector(admin, addresses, 0.5, quorum=lambda: unasked("quorum"), offsets=unasked, tables=lambda: NO_TABLES)


def test_a_snapshot_of_groups_topics_and_brokers() -> None:
    admin = FakeAdmin()
    snapshot = collector(admin).collect()
    good = snapshot.group("good")
    assert good is not None
    rows = [(row.partition, row.committed, row.low, row.end, row.lag, row.member_id) for row in good.partitions]
    assert rows == [(0, 4, 2, 10, 6, "m"), (1, None, 2, 10, None, "m")]
    assert (good.state, good.protocol, good.coordinator, good.members[0].host) == ("STABLE", "CLASSIC", 1, "10.0.0.1")
    topic = snapshot.topic("t")
    assert topic is not None
    assert (topic.min_in_sync, topic.under_replicated, topic.produced) == (2, 3, None)
    assert topic.partitions[2].error == "the partition has no leader"
    assert (snapshot.controller_id, snapshot.controller_epoch, snapshot.brokers[0].rack) == (3, 12, "r")
    assert snapshot.error is None


def test_a_failing_group_carries_its_error_alone() -> None:
    snapshot = collector(FakeAdmin()).collect()
    bad, good = snapshot.group("bad"), snapshot.group("good")
    assert bad is not None
    assert good is not None
    assert bad.error is not None
    assert "authorization" in bad.error.lower()
    assert (good.error, good.lag) == (None, 6)


def test_groups_of_a_broker_that_does_not_answer_stay_with_an_error() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    source.collect()
    silent = SimpleNamespace(valid=[], errors=[KafkaError(KafkaError._TIMED_OUT)])
    admin.list_consumer_groups = lambda **_: done(silent)  # type: ignore[method-assign]
    snapshot = source.collect()
    assert [group.id for group in snapshot.groups] == ["bad", "good"]
    assert snapshot.error is not None
    assert "listing the groups" in snapshot.error
    admin.list_consumer_groups = lambda **_: done(SimpleNamespace(valid=[], errors=[]))  # type: ignore[method-assign]
    assert source.collect().groups == ()


def test_a_description_stays_open_until_its_late_answer_comes() -> None:
    admin = FakeAdmin()
    answers = admin.describe_consumer_groups(["bad", "good"])
    late: Future[Any] = Future()
    asked: list[tuple[list[str], object]] = []

    def slow(ids: list[str], **options: object) -> dict[str, Future[Any]]:
        asked.append((ids, options["request_timeout"]))
        return {name: late if name == "good" else answers[name] for name in ids}

    admin.describe_consumer_groups = slow  # type: ignore[method-assign]
    source = collector(admin, timeout=0.1)
    seen = [source.collect().group("good") for _ in range(2)]
    # Not asked a second time, nor given up: librdkafka crashes the process then.
    assert asked == [(["bad", "good"], GROUP_REQUEST_SECONDS), (["bad"], GROUP_REQUEST_SECONDS)]
    assert GROUP_REQUEST_SECONDS == 3600
    assert [group and (group.state, group.lag, group.error) for group in seen] == [
        ("UNKNOWN", 6, "no answer within 0.1 s")
    ] * 2
    late.set_result(answers["good"].result())
    good = source.collect().group("good")
    assert good is not None
    assert (good.state, good.lag, good.error) == ("STABLE", 6, None)


def test_commits_are_asked_by_coordinator_as_it_was_last_seen() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    source.collect()
    source.collect()
    admin.describe_consumer_groups = lambda ids, **_: {name: done(refused()) for name in ids}  # type: ignore[method-assign]
    source.collect()
    source.collect()
    apart = [["bad"], ["good"]]
    assert admin.batches == [[["bad", "good"]], apart, apart, apart]


def test_commits_that_nobody_gave_have_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = FakeAdmin()
    why = "b1:9092 gave no committed offsets: no answer within 1 s"
    monkeypatch.setattr(admin, "offsets", lambda _: done(ClusterUnavailable(why)))
    good = collector(admin).collect().group("good")
    assert good is not None
    assert (good.lag, good.error, good.state) == (None, why, "STABLE")
    monkeypatch.setattr(admin, "offsets", lambda _: done({}))
    good = collector(admin).collect().group("good")
    assert good is not None
    assert good.error == "not asked yet"


def test_commits_are_read_before_ends_and_configs_seldom() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    first, second = source.collect(), source.collect()
    assert admin.calls.index("commits") < admin.calls.index("ends")
    assert admin.calls.count("configs") == 1
    assert first.id != second.id


def test_a_cluster_that_may_not_be_described_is_shown_from_its_metadata() -> None:
    admin = FakeAdmin()
    admin.cluster = KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))
    snapshot = collector(admin).collect()
    assert (len(snapshot.brokers), snapshot.controller_id) == (1, 3)
    assert snapshot.error is not None


def test_without_a_controller_a_snapshot_has_everything_else_and_the_reason() -> None:
    snapshot = collector(FakeAdmin(), ClusterUnavailable("b1:9092 named no controller: no answer")).collect()
    assert (len(snapshot.brokers), snapshot.controller_id, snapshot.controller_epoch) == (1, None, None)
    assert snapshot.group("good") is not None
    assert snapshot.error == "b1:9092 named no controller: no answer"


@pytest.fixture
def mock_cluster() -> Iterator[str]:
    producer = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "mock", **QUIET})
    addresses = ",".join(f"{node.host}:{node.port}" for node in producer.list_topics(timeout=5).brokers.values())
    for number in range(3):
        producer.produce("mytopic", f"v{number}", partition=1)
    assert producer.flush(10) == 0
    yield addresses
    producer.flush(1)  # the cluster lives as long as its producer


def test_offsets_and_brokers_of_the_mock_cluster(mock_cluster: str) -> None:
    snapshot = blind_collector(mock_cluster).collect()
    assert len(snapshot.brokers) == 3
    topic = snapshot.topic("mytopic")
    assert topic is not None
    assert [partition.end for partition in topic.partitions] == [0, 3, 0, 0]
    assert topic.records == 3
    assert snapshot.error is not None  # the mock cluster can neither describe itself nor list groups


def test_a_dead_cluster_is_unavailable_with_its_address() -> None:
    with pytest.raises(ClusterUnavailable, match=r"127\.0\.0\.1:1 answered within 0\.5 s"):
        blind_collector("127.0.0.1:1").collect()
