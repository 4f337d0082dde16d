"""The avro-consumer as a group member, on librdkafka's mock cluster: commits, rebalances, poison, outages."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from avro_consumer import main as service
from avro_consumer.dead_letters import CUT_BYTES, DeadLetters
from avro_consumer.member import MEMBERSHIP, Member
from avro_consumer.records import LONGEST_ERROR, Record
from avro_consumer.settings import AvroConsumerSettings
from newsroom.errors import ClusterUnavailable, DeliveryFailed, RegistryUnavailable
from newsroom.health import Health
from newsroom.schemas.avro import AvroEncoder, read_schema
from newsroom.schemas.registry import register, registry_client
from newsroom.topics import DEAD_LETTER_BYTES
from newsroom.waiting import StopFlag
from newsroom_stack.layout import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PARTITIONS = 4
SCHEMA = REPOSITORY / "schemas" / "news.avsc"
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
        return [json.loads(line) for file in files for line in file.read_text().rpartition("\n")[0].splitlines()]

    def values(self) -> list[Any]:
        return sorted(entry["value"] for entry in self.sunk())

    def committed(self) -> int:
        """The sum of the group's offsets."""
        consumer = Consumer({"bootstrap.servers": self.cluster.address, "group.id": self.group})
        try:
            asked = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
            return sum(max(0, position.offset) for position in consumer.committed(asked, timeout=10))
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


def test_a_wrong_registry_address_is_found_out_before_the_first_record(bench: Bench) -> None:
    bench.cluster.send(bench.topic, [b"\0\0\0\0\1x"], partition=0)
    with pytest.raises(RegistryUnavailable, match=rf"no schema for topic {bench.topic} within 0\.2 s: .*not answer"):
        bench.run(format="avro", registry_url="http://127.0.0.1:9", registry_timeout=0.2)
    assert bench.committed() == 0


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
        until(lambda: bench.committed() == 400, "both have committed it")
    finally:
        for stop in stops:
            stop.set()
        for member in members:
            member.join(15)
    assert not any(member.is_alive() for member in members)
    assert sorted(set(bench.values())) == [value.decode() for value in sent]
    for file in (bench.folder / "sink").glob("*.jsonl"):
        read = [json.loads(line)["value"] for line in file.read_text().splitlines()]
        assert len(read) == len(set(read)), f"a member read its own records again: {file}"
    # A broker takes the commit that comes before partitions are handed over, the mock refuses it when another
    # rebalance has begun: then, and only then, the new owner reads again.
    output = capsys.readouterr().out
    handed_over = re.search(r"partitions revoked .*partitions=(\[[\d, ]+\])", output)
    assert handed_over
    refused = re.search(rf"refused the commit during a rebalance.*partitions={re.escape(handed_over[1])}", output)
    assert len(bench.sunk()) == 400 or refused
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


def dead_letters(cluster: MockCluster, topic: str) -> DeadLetters:
    return DeadLetters(
        {"bootstrap.servers": cluster.address}, topic, "g", 5, stop=StopFlag(), tick=Health(MEMBERSHIP).tick
    )


def test_a_dead_letter_larger_than_its_topic_takes_is_cut_and_says_so(cluster: MockCluster) -> None:
    topic = cluster.topic()
    letters = dead_letters(cluster, topic)
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
    letters = dead_letters(cluster, topic)
    record = Record("news", 0, 7, 0, None, b"x" * (CUT_BYTES + 1))
    letters._waiting += 1
    letters._delivered(record, [], KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)
    letters.deliver()
    (letter,) = cluster.read_all(topic, 1)
    assert (len(letter.value()), letter.headers()) == (CUT_BYTES, [("dlq.value.bytes", b"%d" % (CUT_BYTES + 1))])


def test_a_dead_letter_that_the_client_refuses_is_a_sentence(cluster: MockCluster) -> None:
    letters = dead_letters(cluster, "dlq")
    with pytest.raises(DeliveryFailed, match=r"news partition 0 offset 7.*too large"):
        letters.put(Record("news", 0, 7, 0, b"k" * (DEAD_LETTER_BYTES + 1), b"small"), ValueError("poison"))
