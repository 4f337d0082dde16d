"""The avro-consumer as a group member, on librdkafka's mock cluster: commits, rebalances, poison, outages."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from avro_consumer import main as service
from avro_consumer.dead_letters import CUT_BYTES, DeadLetters
from avro_consumer.errors import CommitRefused, MemberFenced
from avro_consumer.member import BROKER_LOSS_SECONDS, MEMBERSHIP, Member
from avro_consumer.records import LONGEST_ERROR, Record
from avro_consumer.settings import AvroConsumerSettings
from newsroom.avro import AvroEncoder, read_schema, register, registry_client
from newsroom.errors import ClusterUnavailable, DeliveryFailed, RegistryUnavailable
from newsroom.health import Health
from newsroom.lifecycle import StopFlag
from newsroom.topics import DEAD_LETTER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

PARTITIONS = 4
SCHEMA = Path(__file__).parents[3] / "schemas" / "news.avsc"
JOIN_SECONDS = 20.0
"""The mock lets a group's first members wait three seconds, and one session more after a change."""


@dataclass
class MockCluster:
    address: str
    producer: Producer

    def topic(self) -> str:
        name = f"t-{uuid.uuid4().hex[:8]}"
        self.producer.list_topics(name, timeout=5)
        return name

    def send(self, topic: str, values: list[bytes], partition: int | None = None) -> None:
        for number, value in enumerate(values):
            where = number % PARTITIONS if partition is None else partition
            self.producer.produce(topic, value, key=f"key{number}", headers=[("trace", b"1")], partition=where)
        assert self.producer.flush(10) == 0

    def read_all(self, topic: str, number: int) -> list[Any]:
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "checker", "auto.offset.reset": "earliest"})
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        try:
            return list(consumer.consume(number, 10))
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def cluster() -> MockCluster:
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = producer.list_topics(timeout=5).brokers.values()
    return MockCluster(",".join(f"{broker.host}:{broker.port}" for broker in brokers), producer)


@dataclass
class Bench:
    """Settings for one topic and group of their own."""

    cluster: MockCluster
    folder: Path
    topic: str
    dlq: str
    registry: str = field(default_factory=lambda: f"mock://{uuid.uuid4()}")
    group: str = field(default_factory=lambda: uuid.uuid4().hex)

    def settings(self, **changes: object) -> AvroConsumerSettings:
        defaults: dict[str, Any] = {
            "bootstrap_servers": self.cluster.address,
            "registry_url": self.registry,
            "format": "string",
            "topic": self.topic,
            "dlq_topic": self.dlq,
            "group": self.group,
            "sink": self.folder / "sink",
            "state_dir": self.folder / "state",
            "session_timeout": 6.0,
        }
        return AvroConsumerSettings(**(defaults | changes))

    def run(self, **changes: object) -> None:
        service.serve(self.settings(**changes), StopFlag())

    def sunk(self) -> list[dict[str, Any]]:
        files = sorted((self.folder / "sink").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def values(self) -> list[Any]:
        return sorted(entry["value"] for entry in self.sunk())

    def committed(self) -> int:
        """The sum of the group's offsets."""
        consumer = Consumer({"bootstrap.servers": self.cluster.address, "group.id": self.group})
        try:
            asked = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
            return sum(max(0, found.offset) for found in consumer.committed(asked, timeout=10))
        finally:
            consumer.close()


@pytest.fixture
def bench(cluster: MockCluster, tmp_path: Path) -> Bench:
    return Bench(cluster, tmp_path, cluster.topic(), cluster.topic())


def until(condition: Callable[[], bool], what: str, seconds: float = JOIN_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def test_a_restart_reads_nothing_twice_and_nothing_less(bench: Bench) -> None:
    bench.cluster.send(bench.topic, [b"a%d" % number for number in range(8)])
    bench.run(count=8)
    assert bench.committed() == 8
    bench.cluster.send(bench.topic, [b"b%d" % number for number in range(4)])
    bench.run(count=4)
    assert bench.values() == sorted([f"a{number}" for number in range(8)] + [f"b{number}" for number in range(4)])


def test_avro_poison_goes_to_the_dead_letter_topic_and_the_consumer_goes_on(bench: Bench) -> None:
    registry = registry_client(bench.settings())
    schema = read_schema(SCHEMA)
    encoder = AvroEncoder(schema, register(registry, "news-value", schema))
    good = encoder.encode({"title": "Rain", "media": "BBC"})
    bench.cluster.send(bench.topic, [good, b"poison", good], partition=2)
    with pytest.MonkeyPatch.context() as patch:
        # The in-memory registry belongs to its client object.
        patch.setattr(service, "registry_client", lambda *_, **__: registry)
        bench.run(format="avro", count=3)
    assert [entry["value"] for entry in bench.sunk()] == [{"title": "Rain", "media": "BBC"}] * 2
    assert bench.committed() == 3
    (letter,) = bench.cluster.read_all(bench.dlq, 1)
    assert (letter.key(), letter.value()) == (b"key1", b"poison")
    headers = dict(letter.headers())
    assert headers["trace"] == b"1"
    assert headers["dlq.origin.topic"] == bench.topic.encode()
    assert (headers["dlq.origin.partition"], headers["dlq.origin.offset"]) == (b"2", b"1")
    assert b"unknown magic byte" in headers["dlq.error"]
    assert headers["dlq.consumer.group"] == bench.group.encode()


def test_an_undeliverable_dead_letter_stops_the_consumer_and_commits_nothing(bench: Bench) -> None:
    bench.cluster.send(bench.topic, [b"good", b"\xff", b"good"], partition=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AvroConsumerSettings, "producer_config", lambda *_: {"bootstrap.servers": "127.0.0.1:9"})
        with pytest.raises(DeliveryFailed, match=f"could not be delivered to {bench.dlq} .*not committed"):
            bench.run(count=3, dlq_timeout=0.3)
    assert bench.committed() == 0
    bench.run(count=3)
    assert bench.committed() == 3
    assert len(bench.cluster.read_all(bench.dlq, 1)) == 1


def test_a_silent_registry_stops_the_consumer_and_commits_nothing(bench: Bench) -> None:
    registry = registry_client(bench.settings())

    def silent(*_: object) -> None:
        raise OSError("connection refused")

    bench.cluster.send(bench.topic, [b"\0\0\0\0\1x"], partition=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "get_schema", silent)
        patch.setattr(service, "registry_client", lambda *_, **__: registry)
        with pytest.raises(RegistryUnavailable, match=f"no schema for {bench.topic} partition 0 offset 0 within"):
            bench.run(format="avro", registry_timeout=0.3)
    assert bench.committed() == 0
    assert bench.cluster.read_all(bench.dlq, 0) == []


def test_a_second_member_takes_over_half_and_nothing_is_lost(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    stops = [StopFlag(), StopFlag()]
    members = [threading.Thread(target=service.serve, args=(bench.settings(), stop)) for stop in stops]
    sent = [b"%04d" % number for number in range(400)]
    try:
        members[0].start()
        bench.cluster.send(bench.topic, sent[:200])
        until(lambda: len(bench.sunk()) == 200, "the first member reads alone")
        members[1].start()
        until(lambda: len(list((bench.folder / "sink").glob("*"))) == 2, "the second member takes a slot")
        second = bench.folder / "sink" / "consumed-1.jsonl"
        end = time.monotonic() + JOIN_SECONDS
        for start in range(200, 400, 4):
            bench.cluster.send(bench.topic, sent[start : start + 4])
            time.sleep(0.2)  # a trickle while the group rebalances
            assert time.monotonic() < end
        until(lambda: len(set(bench.values())) == 400, "both read the rest")
    finally:
        for stop in stops:
            stop.set()
        for member in members:
            member.join(15)
    assert not any(member.is_alive() for member in members)
    assert sorted(set(bench.values())) == [value.decode() for value in sent]
    # A broker takes the commit that comes before partitions are handed over, the mock refuses it when another
    # rebalance has begun: then, and only then, the new owner reads again.
    twice = len(bench.sunk()) - 400
    assert twice == 0 or "commit refused, the group rebalances" in capsys.readouterr().out
    assert second.read_text(), "the second member never read"
    assert bench.committed() == 400


def test_a_member_without_partitions_is_ready_too(bench: Bench) -> None:
    members = [
        (health, Member(bench.settings().member_config(None), bench.topic, health))
        for health in (Health(MEMBERSHIP) for _ in range(PARTITIONS + 1))
    ]
    try:
        for health, member in members:
            assert not health.ready()[0]
            member.subscribe()

        def all_ready() -> bool:
            for _, member in members:
                member.take(1)
            return all(health.ready()[0] for health, _ in members)

        until(all_ready, "five members of four partitions are ready")
        assert sorted(len(member._owned) for _, member in members) == [0, 1, 1, 1, 1]
    finally:
        for _, member in members:
            member.__exit__(None, None, None)


def test_an_idle_member_ends(bench: Bench) -> None:
    bench.run(idle_exit=0.5)
    assert bench.sunk() == []


def test_a_cluster_that_is_not_there_is_a_sentence(bench: Bench) -> None:
    with pytest.raises(ClusterUnavailable, match=r"no broker answers .* after 0\.1 s: start the cluster"):
        bench.run(bootstrap_servers="127.0.0.1:9", start_timeout=0.1)


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
    until(lambda: not member._commit_hangs(), "the commit ends")
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
    def __init__(self, partition: int) -> None:
        self._partition = partition

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return self._partition

    def topic(self) -> str:
        return "news"

    def offset(self) -> int:
        return 0

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


def test_a_dead_letter_larger_than_its_topic_takes_is_cut_and_says_so(cluster: MockCluster) -> None:
    topic = cluster.topic()
    letters = DeadLetters({"bootstrap.servers": cluster.address}, topic, "g", 5)
    letters.put(Record("news", 0, 7, 0, b"k", b"x" * (DEAD_LETTER_BYTES + 1)), ValueError("y" * 5000))
    letters.deliver()
    (letter,) = cluster.read_all(topic, 1)
    headers = dict(letter.headers())
    assert letter.value() == b"x" * CUT_BYTES
    assert headers["dlq.value.bytes"] == str(DEAD_LETTER_BYTES + 1).encode()
    assert headers["dlq.origin.offset"] == b"7"
    assert headers["dlq.error"] == b"y" * LONGEST_ERROR


def test_a_dead_letter_that_the_brokers_find_too_large_is_cut_too(cluster: MockCluster) -> None:
    topic = cluster.topic()
    letters = DeadLetters({"bootstrap.servers": cluster.address}, topic, "g", 5)
    record = Record("news", 0, 7, 0, None, b"x" * (CUT_BYTES + 1))
    letters._waiting += 1
    letters._delivered(record, [], KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)
    letters.deliver()
    (letter,) = cluster.read_all(topic, 1)
    assert (len(letter.value()), letter.headers()) == (CUT_BYTES, [("dlq.value.bytes", b"%d" % (CUT_BYTES + 1))])


def test_a_dead_letter_that_the_client_refuses_is_a_sentence(cluster: MockCluster) -> None:
    letters = DeadLetters({"bootstrap.servers": cluster.address}, "dlq", "g", 5)
    with pytest.raises(DeliveryFailed, match=r"news partition 0 offset 7.*too large"):
        letters.put(Record("news", 0, 7, 0, b"k" * (DEAD_LETTER_BYTES + 1), b"small"), ValueError("poison"))
