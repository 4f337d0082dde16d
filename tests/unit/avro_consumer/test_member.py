"""A member of a group over a stand-in of its client: callbacks, records, outages, fatal errors, its end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from avro_consumer import beginnings, brokers, commits
from avro_consumer.errors import MemberFenced, SinkFailed
from avro_consumer.member import MEMBERSHIP, TAKE_SECONDS, Member
from newsroom.errors import ClusterUnavailable, LastingFailure, SettingsError, TopicMismatch
from newsroom.health import Health
from newsroom.topic_watch import TopicWatch
from newsroom.waiting import Stopped
from support.messages import FakeMessage, failed, message
from unit.avro_consumer.fakes import CommittingClient

CONFIG = {"bootstrap.servers": "b:9092", "group.id": "g"}


class FakeClient(CommittingClient):
    """Stands in for the client where a broker would have to fail in a certain way."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[tuple[int, float]] = []
        self.batches: list[Callable[[], list[Any]]] = []
        self.callbacks: dict[str, Any] = {}
        self.ends: dict[int, int] = {}
        self.assigned: dict[int, int] = {}
        self.offsets: defaultdict[int, int] = defaultdict(lambda: OFFSET_INVALID)
        self.errors: list[int] = []

    def subscribe(self, _: list[str], **callbacks: object) -> None:
        self.callbacks |= callbacks

    def consume(self, room: int, seconds: float) -> list[Any]:
        self.waits.append((room, seconds))
        return self.batches.pop(0)() if self.batches else []

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout <= 2
        if self.errors:
            raise KafkaException(KafkaError(self.errors.pop(0)))
        return [TopicPartition(place.topic, place.partition, self.offsets[place.partition]) for place in partitions]

    def list_topics(self, topic: str, timeout: float) -> Any:  # noqa: ANN401
        assert timeout <= 5
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=self.ends)})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout <= 5
        return 0, self.ends[place.partition]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned |= {place.partition: place.offset for place in partitions}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = {place.partition: place.offset for place in partitions}

    def rebalance(self, event: str, *numbers: int) -> None:
        self.callbacks[event](self, [TopicPartition("news", number) for number in numbers])


def member_of(client: FakeClient, health: Health | None = None) -> Member:
    def build(config: dict[str, Any], **_: object) -> FakeClient:
        client.callbacks |= config
        return client

    member = Member(CONFIG, "news", health or Health(MEMBERSHIP), client=build)
    member.subscribe()
    return member


def test_revoked_partitions_are_committed_inside_the_callback_and_lost_ones_never() -> None:
    client = FakeClient()
    member = member_of(client)
    client.rebalance("on_assign", 0, 1, 2)
    member.done({0: 10, 1: 20, 2: 30})
    client.rebalance("on_lost", 2)
    client.rebalance("on_revoke", 1)
    assert client.commits == [{1: 20}]
    member.commit()
    assert client.commits == [{1: 20}, {0: 10}]
    assert member.owned == {0}


def test_a_client_is_not_closed_under_a_commit_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.05)
    client = FakeClient()
    client.answers.clear()
    with member_of(client) as member:
        member.done({0: 10})
        member.commit()
    client.answers.set()  # FakeClient has no close(): it was not called


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced by another", fatal=True),
        # What the error callback is given for the same.
        KafkaError(KafkaError._FATAL, "fenced by another"),
    ],
)
def test_a_fatal_error_ends_the_member_with_a_sentence(error: KafkaError) -> None:
    client = FakeClient()
    member = member_of(client)
    client.callbacks["error_cb"](error)
    with pytest.raises(MemberFenced, match=r"fenced by another; if another process"):
        member.take(1)


def test_a_topic_that_was_made_anew_ends_the_member_and_starts_its_group_at_the_beginning() -> None:
    client = FakeClient()

    class Watch:
        def look(self) -> None:
            raise TopicMismatch("made anew", topic="news", recreated=True)

    def build(config: dict[str, Any], **_: object) -> FakeClient:
        client.callbacks |= config
        return client

    member = Member(CONFIG, "news", Health(MEMBERSHIP), client=build, watch=cast("TopicWatch", Watch()))
    member.subscribe()
    client.rebalance("on_assign", 0, 1)
    member.done({0: 10, 2: 7})
    with pytest.raises(TopicMismatch, match="made anew"):
        member.take(1)
    client.rebalance("on_revoke", 0, 1)
    assert client.commits == [{0: 0, 1: 0}]


def test_a_right_that_is_missing_ends_the_member_with_a_sentence() -> None:
    client = FakeClient()
    member = member_of(client)
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Fetch from broker 1 failed")
    client.batches = [lambda: [failed(denied)] * 2]
    with pytest.raises(LastingFailure, match=r"without login\) may not READ topic news at b:9092 .*add an ACL"):
        member.take(1)


def test_a_member_says_why_it_can_not_receive_records() -> None:
    client = FakeClient()
    member = member_of(client)
    assert member.without_records == "not a member of group g"
    reasons: list[str | None] = []
    for event in ("on_assign", "on_revoke"):
        client.rebalance(event, 0)
        reasons.append(member.without_records)
    client.callbacks["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    reasons.append(member.without_records)
    assert reasons == [None, "this member of group g owns no partition of news", "no broker answers"]


def test_without_brokers_for_long_the_member_is_not_ready_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("avro_consumer.brokers.time.monotonic", lambda: clock)
    client = FakeClient()
    health = Health(MEMBERSHIP)
    member = member_of(client, health)
    client.rebalance("on_assign", 0)
    member.done({0: 1})
    down, up = (
        json.dumps({"brokers": {"b": {"state": state}}, "cgrp": {"join_state": "steady"}}) for state in ("DOWN", "UP")
    )
    client.callbacks["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    member.commit()
    assert health.ready()[0]
    clock += brokers.LOSS_SECONDS
    client.callbacks["stats_cb"](down)
    assert not health.ready()[0]
    assert client.commits == []
    client.callbacks["stats_cb"](up)
    member.commit()
    assert health.ready()[0]
    assert client.commits == [{0: 1}]


def test_records_of_partitions_that_left_within_the_same_batch_are_dropped() -> None:
    client = FakeClient()
    member = member_of(client)
    client.rebalance("on_assign", 0, 1)

    def consume() -> list[Any]:
        client.rebalance("on_revoke", 1)
        return [message("news", 0, 0), message("news", 1, 0)]

    client.batches = [consume]
    assert [record.partition for record in member.take(10)] == [0]


def test_records_that_are_put_back_come_first_while_their_partition_is_ours() -> None:
    client = FakeClient()
    member = member_of(client)
    client.rebalance("on_assign", 0, 1)
    client.batches = [
        lambda: [message("news", 0, 1), message("news", 1, 1), message("news", 0, 2)],
        lambda: [message("news", 0, 3)],
        lambda: [message("news", 0, 4)],
    ]
    first = member.take(3)
    member.put_back(first[1:])
    client.rebalance("on_revoke", 1)
    assert [(record.partition, record.offset) for record in member.take(1)] == [(0, 2)]
    # The client is asked in every turn, which keeps the membership, but waited for only when nothing is held.
    assert client.waits == [(3, TAKE_SECONDS), (1, 0)]
    assert [record.offset for record in member.take(5)] == [3, 4]
    assert member.take(5) == []


class Claims:
    """Owns partitions beside the group."""

    def __init__(self, offsets: dict[int, int | None] | Exception) -> None:
        self._offsets = offsets

    def claim(self, partitions: Iterable[int]) -> Mapping[int, int | None]:
        if isinstance(self._offsets, Exception):
            raise self._offsets
        return {number: self._offsets[number] for number in partitions}


def claiming(client: FakeClient, claims: Claims, **config: str) -> Member:
    member = Member(CONFIG | config, "news", Health(MEMBERSHIP), client=lambda *_, **__: client, claims=claims)
    member.subscribe()
    return member


@pytest.mark.parametrize("strategy", ["cooperative-sticky", "range"])
def test_partitions_begin_where_their_claims_say(strategy: str) -> None:
    client = FakeClient()
    client.assigned = {7: 1}
    claiming(client, Claims({0: None, 1: 42}), **{"partition.assignment.strategy": strategy})
    client.rebalance("on_assign", 0, 1)
    before = {7: 1} if strategy == "cooperative-sticky" else {}
    assert client.assigned == {**before, 0: OFFSET_BEGINNING, 1: 42}


@pytest.mark.parametrize("error", [SinkFailed("the database does not answer"), Stopped("the database")])
def test_a_claim_that_fails_ends_the_member_before_it_returns_a_record(error: Exception) -> None:
    client = FakeClient()
    member = claiming(client, Claims(error))
    client.batches = [lambda: [message("news", 0, 0)]]
    client.rebalance("on_assign", 0)
    with pytest.raises(type(error), match="the database"):
        member.take(1)


def test_partitions_begin_at_the_offsets_of_the_group_also_while_its_coordinator_moves() -> None:
    client = FakeClient()
    client.offsets[1] = 42
    client.errors = [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS]
    member = member_of(client)
    client.rebalance("on_assign", 0, 1)
    assert client.assigned == {0: OFFSET_BEGINNING, 1: 42}, "explicit: the client does not ask"
    assert member.take(1) == []


def test_a_coordinator_that_does_not_answer_ends_the_member_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginnings, "PATIENCE_SECONDS", 0.0)
    client = FakeClient()
    client.errors = [KafkaError.NOT_COORDINATOR]
    member = member_of(client)
    client.rebalance("on_assign", 0)
    with pytest.raises(ClusterUnavailable, match=r"did not tell the committed offsets within 0 s \(.*oordinator\)"):
        member.take(1)


def test_a_refused_question_for_offsets_is_left_to_the_client() -> None:
    client = FakeClient()
    client.errors = [KafkaError.GROUP_AUTHORIZATION_FAILED]
    member = member_of(client)
    client.rebalance("on_assign", 0)
    assert client.assigned == {}
    assert member.take(1) == []


def test_the_next_batch_is_taken_while_a_commit_is_under_way() -> None:
    client = FakeClient()
    client.answers.clear()
    member = member_of(client)
    client.rebalance("on_assign", 0)
    client.batches = [lambda: [message("news", 0, 0)], lambda: [message("news", 0, 1)]]
    member.take(1)
    member.done({0: 1})
    member.begin_commit()
    assert [record.offset for record in member.take(1)] == [1]
    assert client.commits == []
    client.answers.set()
    assert member.settle()
    assert client.commits == [{0: 1}]
    assert not member.settle()


def end_of(partition: int) -> FakeMessage:
    """What the client returns behind the last record of a partition."""
    return failed(KafkaError(KafkaError._PARTITION_EOF), partition)


def test_a_member_is_at_the_end_when_it_has_read_what_was_there_at_the_start() -> None:
    client = FakeClient()
    client.ends = {0: 2, 1: 5, 2: 9}
    member = member_of(client)
    member.remember_ends()
    client.batches = [lambda: [message("news", 0, 1), end_of(1)], list, lambda: [message("news", 2, 8)]]
    at_end = [member.at_end]
    client.rebalance("on_assign", 0, 1)
    (record,) = member.take(5)
    at_end.append(member.at_end)
    member.put_back([record])
    at_end.append(member.at_end)
    member.take(5)
    at_end.append(member.at_end)
    client.rebalance("on_assign", 2)
    at_end.append(member.at_end)
    member.take(5)
    at_end.append(member.at_end)
    assert at_end == [False, True, False, True, False, True]


def test_a_ca_file_that_is_missing_is_a_settings_error() -> None:
    config = CONFIG | {"security.protocol": "SSL", "ssl.ca.location": "/none.pem", "log_level": 0}
    with pytest.raises(SettingsError, match=r"refuses its settings: .*ssl\.ca\.location failed"):
        Member(config, "news", Health(MEMBERSHIP))
