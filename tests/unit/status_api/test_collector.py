"""The collector with librdkafka's mock cluster, which has no groups, and with a fake AdminClient, which has."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from newsroom.admin.quorum import Quorum
from newsroom.errors import ClusterUnavailable
from newsroom.settings import KafkaSettings
from status_api.collector import Collector
from status_api.figures import NO_TABLES
from status_api.groups import GroupsByBroker
from status_api.marks import Tail
from status_api.model import Group, GroupMember
from status_api.progress import Place
from status_api.tails import TailReader
from support.cluster import MockCluster
from support.futures import done
from unit.status_api.fakes import commits

QUIET = {"log_level": 0}


def refused() -> KafkaException:
    return KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))


class FakeAdmin:
    """One topic of three partitions, the last without a leader, and two groups, one of which may not be read."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.asked: list[tuple[bool, set[int]]] = []
        """Whether the end offsets were asked for, or the oldest ones, and of which partitions."""
        self.leaders_gone: set[int] = set()
        self.offsets_leaders: list[int] = []
        self.listing_error: ClusterUnavailable | None = None
        member = GroupMember("m", "c", "10.0.0.1", assignment=(("t", 0), ("t", 1)))
        self.listing: list[Group] | str = [
            Group("good", "Stable", "classic", "range", 1, (member,), commits({("t", 0): 4})),
            Group("bad", "Stable", "classic", error="the cluster does not let this user read the group"),
        ]
        self.node = SimpleNamespace(id=1, host="b1", port=9092)
        self.down = False

    def poll(self, _: float) -> None:
        """Hand on log lines."""

    def list_topics(self, **_: object) -> object:
        self.calls.append("metadata")
        if self.down:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        partitions = {i: SimpleNamespace(id=i, leader=-1 if i == 2 else 1, replicas=[1, 2], isrs=[1]) for i in range(3)}
        topic = SimpleNamespace(topic="t", partitions=partitions, error=None)
        topics = {"t": topic}
        if self.offsets_leaders:
            leaders = enumerate(self.offsets_leaders)
            offsets = {i: SimpleNamespace(id=i, leader=leader, replicas=[], isrs=[]) for i, leader in leaders}
            topics["__consumer_offsets"] = SimpleNamespace(partitions=offsets, error=None)
        return SimpleNamespace(topics=topics, brokers={1: self.node}, cluster_id="c")

    def groups(self, brokers: Sequence[int]) -> Future[GroupsByBroker]:
        """Stands in for `GroupsReader.ask`."""
        self.calls.append("commits")
        assert list(brokers) == [1]
        return done(self.listing_error or {1: self.listing})

    def list_offsets(self, specs: dict[Any, Any], **_: object) -> dict[Any, Future[Any]]:
        self.calls.append("ends")
        latest = type(next(iter(specs.values()))).__name__ == "LatestSpec"
        self.asked.append((latest, {key.partition for key in specs if key.topic == "t"}))
        offset = 10 if latest else 2
        return {
            # librdkafka's answer if the leader vanishes during the request.
            key: done(SimpleNamespace(offset=OFFSET_INVALID if key.partition in self.leaders_gone else offset))
            for key in specs
        }

    def describe_configs(self, resources: list[Any], **_: object) -> dict[Any, Future[Any]]:
        self.calls.append("configs")
        return {resource: done({"min.insync.replicas": SimpleNamespace(value="2")}) for resource in resources}


def unavailable(_: object) -> Future[Any]:
    return done(ClusterUnavailable("not available"))


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
        racks=lambda: {1: "r"},
        tables=lambda: NO_TABLES,
        tails=TailReader(KafkaSettings()),
    )


def blind_collector(addresses: str, timeout: float = 20.0) -> Collector:
    """A collector that has librdkafka only."""
    admin = AdminClient({"bootstrap.servers": addresses, **QUIET})
    # This waits for a controller, which a mock cluster does not have.
    admin.describe_configs = lambda resources, **_: {resource: unavailable("configs") for resource in resources}
    return Collector(
        admin,
        addresses,
        timeout,
        quorum=lambda: unavailable("quorum"),
        groups=unavailable,
        racks=dict,
        tables=lambda: NO_TABLES,
        tails=TailReader(KafkaSettings()),
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
    assert topic.configuration == {"min.insync.replicas": "2"}
    assert topic.partitions[2].error == "the partition has no leader"
    assert (snapshot.controller_id, snapshot.controller_epoch, snapshot.brokers[0].rack) == (3, 12, "r")
    assert snapshot.error is None


def test_a_record_before_which_nothing_is_known_is_looked_at_once_and_tells_the_lag_in_seconds() -> None:
    source = collector(FakeAdmin())
    asked: list[set[Place]] = []

    def turn(wanted: Iterable[Place]) -> None:
        asked.append(set(wanted))
        source._tails.tails = {("t", 0, 4): Tail(True, 5, 1_000)}

    source._tails.turn = turn  # type: ignore[method-assign]
    first = source.collect().group("good")
    assert source._looking is not None
    source._looking.result(10)
    second, third = source.collect().group("good"), source.collect().group("good")
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.partitions[0].time_lag is None
    for group in (second, third):
        lag = group.partitions[0].time_lag
        assert lag is not None
        assert (lag.method, lag.seconds > 1e9) == ("record", True)
    assert asked == [{("t", 0, 4)}]


def test_a_failing_group_carries_its_error_alone() -> None:
    snapshot = collector(FakeAdmin()).collect()
    bad, good = snapshot.group("bad"), snapshot.group("good")
    assert bad is not None
    assert good is not None
    assert bad.error is not None
    assert "does not let this user" in bad.error
    assert (good.error, good.lag) == (None, 6)


def test_groups_of_a_broker_that_does_not_answer_keep_their_last_values() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    known = source.collect().group("good")
    assert known is not None
    admin.listing = "no answer within 1 s"
    snapshot = source.collect()
    good, bad = snapshot.group("good"), snapshot.group("bad")
    assert good is not None
    assert (good.state, good.lag, good.members, good.partitions) == ("Unknown", 6, known.members, known.partitions)
    assert good.unknown_since is not None
    assert good.error == f"not known since {good.unknown_since:%H:%M:%S} UTC: no answer within 1 s"
    silence = "listing the groups of broker 1: no answer within 1 s"
    assert (snapshot.error, snapshot.unlisted) == (silence, silence)
    assert str(bad and bad.error).endswith(f": {silence}"), "its coordinator was never known"


def test_when_no_broker_lists_groups_they_stay_with_the_reason() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    source.collect()
    reason = "b1:9092 listed no groups: no answer within 1 s"
    admin.listing_error = ClusterUnavailable(reason)
    snapshot = source.collect()
    assert [(group.id, group.lag, str(group.error).partition("UTC: ")[2]) for group in snapshot.groups] == [
        ("bad", None, reason),
        ("good", 6, reason),
    ]
    assert (snapshot.error, snapshot.unlisted) == (reason, reason)


def test_groups_may_be_missing_while_a_partition_of_the_offsets_has_no_leader() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    assert source.collect().unlisted is None
    admin.offsets_leaders = [1, 7, -1]
    assert source.collect().unlisted == "partitions without a leader in __consumer_offsets: 2"


def test_an_offset_is_not_known_if_the_leader_did_not_answer() -> None:
    admin = FakeAdmin()
    admin.leaders_gone = {1}
    topic = collector(admin).collect().topic("t")
    assert topic is not None
    assert [(part.low, part.end) for part in topic.partitions] == [(2, 10), (None, None), (None, None)]
    assert topic.partitions[1].error == "the partition's leader, broker 1, did not answer"
    assert (topic.records, topic.produced) == (None, None)


def test_commits_are_read_before_ends_and_configs_seldom() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    first, second = source.collect(), source.collect()
    assert admin.calls.index("commits") < admin.calls.index("ends")
    assert admin.calls.count("configs") == 1
    assert first.id != second.id


def test_an_offset_that_is_not_told_now_stays_with_the_time_when_it_was() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    first = source.collect()
    admin.leaders_gone = {0, 1}
    snapshot = source.collect()
    topic, good = snapshot.topic("t"), snapshot.group("good")
    assert topic is not None
    assert good is not None
    assert [(part.low, part.end) for part in topic.partitions] == [(2, 10), (2, 10), (None, None)]
    at = topic.partitions[0].known_at
    assert at is not None
    assert first.collected_at - at < timedelta(seconds=10)
    assert (good.lag, good.lag_known_at) == (6, at)
    assert good.partitions[0].error == "the partition's leader, broker 1, did not answer"
    admin.leaders_gone = set()
    again = source.collect().group("good")
    assert again is not None
    assert (again.lag, again.lag_known_at, again.partitions[0].error) == (6, None, None)


def test_oldest_offsets_are_read_seldom_and_those_that_are_missing_at_once() -> None:
    admin = FakeAdmin()
    admin.leaders_gone = {1}
    source = collector(admin)
    source.collect()
    assert admin.asked == [(True, {0, 1}), (False, {0, 1})]
    admin.leaders_gone = set()
    admin.asked.clear()
    source.collect()
    source.collect()
    assert admin.asked == [(True, {0, 1}), (False, {1}), (True, {0, 1})]


def test_a_broker_that_is_away_is_shown_as_what_it_is() -> None:
    admin = FakeAdmin()
    source = collector(admin)
    (one, two) = source.collect().brokers
    assert (one.state, one.since) == ("alive", None)
    assert (two.id, two.host, two.state) == (2, None, "gone"), "it has replicas, but the cluster does not name it"
    admin.listing = "no answer within 1 s"
    (one, two) = source.collect().brokers
    assert (one.state, one.error, one.host) == ("silent", "no answer within 1 s", "b1")
    assert source.collect().brokers[0].since == one.since is not None


def test_a_cluster_that_is_down_is_asked_for_its_metadata_alone() -> None:
    admin = FakeAdmin()
    admin.down = True
    with pytest.raises(ClusterUnavailable, match="no broker of b1:9092 answered"):
        collector(admin).collect()
    assert set(admin.calls) == {"metadata"}


def test_without_a_controller_a_snapshot_has_everything_else_and_the_reason() -> None:
    snapshot = collector(FakeAdmin(), ClusterUnavailable("b1:9092 named no controller: no answer")).collect()
    assert (snapshot.alive, snapshot.controller_id, snapshot.controller_epoch) == (1, None, None)
    assert snapshot.group("good") is not None
    assert snapshot.error == "b1:9092 named no controller: no answer"


def test_offsets_and_brokers_of_the_mock_cluster() -> None:
    with closing(MockCluster(brokers=3)) as cluster:
        cluster.send("mytopic", [(None, f"v{number}") for number in range(3)], partition=1)
        snapshot = blind_collector(cluster.address).collect()
    assert len(snapshot.brokers) == 3
    topic = snapshot.topic("mytopic")
    assert topic is not None
    assert [partition.end for partition in topic.partitions] == [0, 3, 0, 0]
    assert topic.records == 3
    assert snapshot.error is not None  # the mock cluster can neither describe itself nor list groups


def test_a_dead_cluster_is_unavailable_with_its_address() -> None:
    with pytest.raises(ClusterUnavailable, match=r"127\.0\.0\.1:1 answered within 0\.5 s"):
        blind_collector("127.0.0.1:1", 0.5).collect()
