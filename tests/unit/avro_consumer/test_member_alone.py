"""A member of a group over a stand-in of its client: callbacks, commits that fail or hang, fatal errors, outages."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from avro_consumer.errors import CommitRefused, MemberFenced
from avro_consumer.member import BROKER_LOSS_SECONDS, MEMBERSHIP, TAKE_SECONDS, Member
from newsroom.errors import SettingsError
from newsroom.health import Health


class FakeClient:
    """Stands in for the client where a broker would have to fail in a certain way."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code
        self.commits: list[dict[int, int]] = []

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        self.commits.append({offset.partition: offset.offset for offset in offsets})
        if self.code is not None:
            raise KafkaException(KafkaError(self.code))
        return offsets

    def consume(self, *_: object) -> list[Any]:
        return []


def member_with(client: FakeClient) -> Member:
    return Member({"group.id": "g"}, "news", Health(MEMBERSHIP), client=lambda *_, **__: client)


def parts(*numbers: int) -> list[TopicPartition]:
    return [TopicPartition("news", number) for number in numbers]


def test_revoked_partitions_are_committed_inside_the_callback_and_lost_ones_never() -> None:
    client = FakeClient()
    member = member_with(client)
    member._on_assign(client, parts(0, 1, 2))
    member.done({0: 10, 1: 20, 2: 30})
    member._on_lost(client, parts(2))
    member._on_revoke(client, parts(1))
    assert client.commits == [{1: 20}]
    member.commit()
    assert client.commits == [{1: 20}, {0: 10}]
    assert member._owned == {0}


@pytest.mark.parametrize("code", [KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH, KafkaError._WAIT_COORD])
def test_an_offset_that_is_not_accepted_now_is_committed_with_the_next(code: int) -> None:
    client = FakeClient(code)
    member = member_with(client)
    member.done({0: 10})
    member.commit()
    client.code = None
    member.done({1: 5})
    member.commit()
    assert client.commits == [{0: 10}, {0: 10, 1: 5}]


def test_a_commit_that_hangs_does_not_hold_up_the_loop_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.member.COMMIT_SECONDS", 0.05)
    client = FakeClient()
    answer = threading.Event()
    commit = client.commit

    def hang(*, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert answer.wait(10)
        return commit(offsets=offsets, asynchronous=asynchronous)

    client.commit = hang  # type: ignore[method-assign]
    member = member_with(client)
    member.done({0: 10})
    member.commit()
    member.done({0: 20})
    member.commit()  # not sent while the first is on its way
    member.__exit__(None, None, None)  # FakeClient has no close(): it must not be called under a commit
    answer.set()
    assert member._committing
    member._committing.result(5)
    assert not member._commit_hangs()
    assert client.commits == [{0: 10}]


def test_a_refused_commit_is_a_sentence() -> None:
    member = member_with(FakeClient(KafkaError.GROUP_AUTHORIZATION_FAILED))
    member.done({3: 10})
    with pytest.raises(CommitRefused, match=r"refuses the offsets of news partitions \[3\].*start again"):
        member.commit()


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced by another", fatal=True),
        # What the error callback is given for the same.
        KafkaError(KafkaError._FATAL, "fenced by another"),
    ],
)
def test_a_fatal_error_ends_the_member_with_a_sentence(error: KafkaError) -> None:
    member = member_with(FakeClient())
    member._on_error(error)
    with pytest.raises(MemberFenced, match=r"fenced by another; if another process"):
        member.take(1)


def test_without_brokers_for_long_the_member_is_not_ready_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("avro_consumer.member.time.monotonic", lambda: clock)
    client = FakeClient()
    member = member_with(client)
    member._on_assign(client, parts(0))
    member.done({0: 1})
    down, up = (
        json.dumps({"brokers": {"b": {"state": state}}, "cgrp": {"join_state": "steady"}}) for state in ("DOWN", "UP")
    )
    member._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    member.commit()
    assert member._health.ready()[0]
    clock += BROKER_LOSS_SECONDS
    member._on_stats(down)
    assert not member._health.ready()[0]
    assert client.commits == []
    member._on_stats(up)
    member.commit()
    assert member._health.ready()[0]
    assert client.commits == [{0: 1}]


class FakeMessage:
    def __init__(self, partition: int, offset: int = 0) -> None:
        self._partition = partition
        self._offset = offset

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return self._partition

    def topic(self) -> str:
        return "news"

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, 1700000000000

    def key(self) -> None:
        return None

    value = headers = key


def test_records_of_partitions_that_left_within_the_same_batch_are_dropped() -> None:
    client = FakeClient()
    member = member_with(client)
    member._on_assign(client, parts(0, 1))

    def consume(*_: object) -> list[FakeMessage]:
        member._on_revoke(client, parts(1))
        return [FakeMessage(0), FakeMessage(1)]

    client.consume = consume  # type: ignore[method-assign]
    assert [record.partition for record in member.take(10)] == [0]


def test_records_that_are_put_back_come_first_while_their_partition_is_ours() -> None:
    client = FakeClient()
    member = member_with(client)
    member._on_assign(client, parts(0, 1))
    answers = [[FakeMessage(0, 1), FakeMessage(1, 1), FakeMessage(0, 2)], [FakeMessage(0, 3)], [FakeMessage(0, 4)], []]
    asked: list[tuple[object, ...]] = []

    def consume(*question: object) -> list[FakeMessage]:
        asked.append(question)
        return answers.pop(0)

    client.consume = consume  # type: ignore[method-assign]
    first = member.take(3)
    member.put_back(first[1:])
    member._on_revoke(client, parts(1))
    assert [(record.partition, record.offset) for record in member.take(1)] == [(0, 2)]
    # The client is asked in every turn, which keeps the membership, but waited for only when nothing is held.
    assert asked == [(3, TAKE_SECONDS), (1, 0)]
    assert [record.offset for record in member.take(5)] == [3, 4]
    assert member.take(5) == []


def test_a_ca_file_that_is_missing_is_a_settings_error() -> None:
    config = {"group.id": "g", "security.protocol": "SSL", "ssl.ca.location": "/none.pem", "log_level": 0}
    with pytest.raises(SettingsError, match=r"refuses its settings: .*ssl\.ca\.location failed"):
        Member(config, "news", Health(MEMBERSHIP))
