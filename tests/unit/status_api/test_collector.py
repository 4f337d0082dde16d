"""The collector over librdkafka's mock cluster, which knows no groups, and over a fake AdminClient, which does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from newsroom.admin.quorum import Quorum
from newsroom.errors import ClusterUnavailable
from status_api.collector import Collector
from status_api.groups import FoundGroup
from status_api.model import NO_TABLES, Group, Member
from unit.futures import done

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

QUIET = {"log_level": 0}


def refused() -> KafkaException:
    return KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))


class FakeAdmin:
    """Two groups on one topic of three partitions: one healthy, one that may not be read; partition 2 is dead."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.unanswered: set[int] = set()
        member = Member("m", "c", "10.0.0.1", assignment=(("t", 0), ("t", 1)))
        self.found: list[FoundGroup] | str = [
            FoundGroup(Group("good", "Stable", "classic", "range", 1, (member,)), {("t", 0): 4}),
            FoundGroup(Group("bad", "Stable", "classic", error="the cluster does not let this user read the group")),
        ]
        self.node = SimpleNamespace(id=1, host="b1", port=9092, rack="r")
        # Under KRaft a broker names any living broker as the controller: not what the page may show.
        self.cluster: object = SimpleNamespace(controller=self.node, nodes=[self.node])

    def describe_cluster(self, **_: object) -> Future[Any]:
        return done(self.cluster)

    def list_topics(self, **_: object) -> object:
        partitions = {i: SimpleNamespace(id=i, leader=-1 if i == 2 else 1, replicas=[1, 2], isrs=[1]) for i in range(3)}
        topic = SimpleNamespace(topic="t", partitions=partitions, error=None)
        return SimpleNamespace(topics={"t": topic}, brokers={1: self.node}, cluster_id="c")

    def groups(self, brokers: Sequence[int]) -> Future[dict[int, list[FoundGroup] | str]]:
        """What `GroupsReader.ask` answers."""
        self.calls.append("commits")
        assert list(brokers) == [1]
        return done({1: self.found})

    def list_offsets(self, asked: dict[Any, Any], **_: object) -> dict[Any, Future[Any]]:
        self.calls.append("ends")
        assert {item.partition for item in asked} == {0, 1}
        latest = type(next(iter(asked.values()))).__name__ == "LatestSpec"
        offset = 10 if latest else 2
        return {
            # What librdkafka says of a leader that goes away under the question.
            item: done(SimpleNamespace(offset=OFFSET_INVALID if item.partition in self.unanswered else offset))
            for item in asked
        }

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
        groups=admin.groups,
        tables=lambda: NO_TABLES,
    )


def blind_collector(addresses: str, timeout: float = 20.0) -> Collector:
    """A collector over librdkafka alone."""
    admin = AdminClient({"bootstrap.servers": addresses, **QUIET})
    return Collector(
        admin, addresses, timeout, quorum=lambda: unasked("quorum"), groups=unasked, tables=lambda: NO_TABLES
    )


def test_a_snapshot_of_groups_topics_and_brokers() -> None:
    admin = FakeAdmin()
    snapshot = collector(admin).collect()
    good = snapshot.group("good")
    assert good is not None
    rows = [(row.partition, row.committed, row.low, row.end, row.lag, row.member_id) for row in good.partitions]
    assert rows == [(0, 4, 2, 10, 6, "m"), (1, None, 2, 10, None, "m")]
    assert (good.state, good.protocol, good.coordinator, good.members[0].host) == ("Stable", "classic", 1, "10.0.0.1")
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
    assert "does not let this user" in bad.error
    assert (good.error, good.lag) == (None, 6)


def test_groups_of_a_broker_that_does_not_answer_stay_with_an_error() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    source.collect()
    admin.found = "no answer within 1 s"
    snapshot = source.collect()
    assert [(group.id, group.state, group.coordinator, group.error) for group in snapshot.groups] == [
        ("bad", "Unknown", None, "no broker lists it now"),
        ("good", "Unknown", 1, "no answer within 1 s"),
    ]
    assert snapshot.error == "listing the groups of broker 1: no answer within 1 s"
    admin.found = []
    assert source.collect().groups == ()


def test_when_nobody_can_be_asked_for_groups_they_stay_with_the_reason() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    source.collect()
    why = "b1:9092 listed no groups: no answer within 1 s"
    source._groups = lambda _: done(ClusterUnavailable(why))
    snapshot = source.collect()
    assert [(group.id, group.lag, group.error) for group in snapshot.groups] == [
        ("bad", None, why),
        ("good", None, why),
    ]
    assert snapshot.error == why


def test_an_offset_that_a_leader_did_not_tell_is_not_known() -> None:
    admin = FakeAdmin()
    admin.unanswered = {1}
    topic = collector(admin).collect().topic("t")
    assert topic is not None
    assert [(part.low, part.end) for part in topic.partitions] == [(2, 10), (None, None), (None, None)]
    assert topic.partitions[1].error == "its leader, broker 1, did not answer"
    assert (topic.records, topic.produced) == (None, None)


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
        blind_collector("127.0.0.1:1", 0.5).collect()
