"""The avro-consumer as a group member, on a mock cluster: commits, rebalances, poison, outages."""

import json
import re
import socket
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from avro_consumer import main as service
from avro_consumer.member import MEMBERSHIP, Member
from avro_consumer.settings import AvroConsumerSettings
from newsroom.errors import ClusterUnavailable, DeliveryFailed, RegistryUnavailable
from newsroom.health import Health
from newsroom.schemas.avro import AvroEncoder
from newsroom.schemas.registry import register, registry_client
from newsroom.waiting import StopFlag
from support.cluster import PARTITIONS, MockCluster
from support.relay import Relay
from support.schemas import NEWS_SCHEMA
from support.waiting import wait_for


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
        return self.cluster.committed(self.group, self.topic)

    def send(self, *values: bytes, partition: int | None = None) -> None:
        self.cluster.send(self.topic, [(f"key{number}", value) for number, value in enumerate(values)], partition)


@pytest.fixture
def bench(cluster: MockCluster, tmp_path: Path) -> Bench:
    return Bench(cluster, tmp_path, cluster.topic(), cluster.topic())


def test_a_restart_reads_nothing_twice_and_nothing_less(bench: Bench) -> None:
    bench.send(*(b"a%d" % number for number in range(8)))
    bench.run(count=8)
    assert bench.committed() == 8
    bench.send(*(b"b%d" % number for number in range(4)))
    bench.run(count=4)
    assert bench.values() == sorted([f"a{number}" for number in range(8)] + [f"b{number}" for number in range(4)])


def test_avro_poison_goes_to_the_dead_letter_topic_and_the_consumer_goes_on(bench: Bench) -> None:
    registry = registry_client(bench.settings())
    encoder = AvroEncoder(NEWS_SCHEMA, register(registry, "news-value", NEWS_SCHEMA))
    good = encoder.encode({"title": "Rain", "media": "BBC"})
    bench.send(good, b"poison", good, partition=2)
    with pytest.MonkeyPatch.context() as patch:
        # The in-memory registry belongs to its client object.
        patch.setattr("newsroom.schemas.registry.registry_client", lambda *_, **__: registry)
        bench.run(format="avro", count=3)
    assert [entry["value"] for entry in bench.sunk()] == [{"title": "Rain", "media": "BBC"}] * 2
    assert bench.committed() == 3
    (letter,) = bench.cluster.read(bench.dlq)
    assert (letter.key(), letter.value()) == (b"key1", b"poison")
    headers = dict(letter.headers())
    assert headers["trace"] == b"1"
    assert headers["dlq.origin.topic"] == bench.topic.encode()
    assert (headers["dlq.origin.partition"], headers["dlq.origin.offset"]) == (b"2", b"1")
    assert b"unknown magic byte" in headers["dlq.error"]
    assert headers["dlq.consumer.group"] == bench.group.encode()


def test_an_undeliverable_dead_letter_stops_the_consumer_and_commits_nothing(bench: Bench) -> None:
    bench.send(b"good", b"\xff", b"good", partition=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AvroConsumerSettings, "producer_config", lambda *_: {"bootstrap.servers": "127.0.0.1:9"})
        with pytest.raises(DeliveryFailed, match=f"could not be delivered to {bench.dlq} .*not committed"):
            bench.run(count=3, dlq_timeout=0.3)
    assert bench.committed() == 0
    bench.run(count=3)
    assert bench.committed() == 3
    assert len(bench.cluster.read(bench.dlq)) == 1


def test_a_silent_registry_stops_the_consumer_and_commits_nothing(bench: Bench) -> None:
    registry = registry_client(bench.settings())

    def silent(*_: object) -> None:
        raise RegistryUnavailable("connection refused")

    bench.send(b"\0\0\0\0\1x", partition=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "get_schema", silent)
        patch.setattr("newsroom.schemas.registry.registry_client", lambda *_, **__: registry)
        with pytest.raises(RegistryUnavailable, match=f"{bench.topic} partition 0 offset 0: no schema for"):
            bench.run(format="avro", registry_timeout=0.3)
    assert bench.committed() == 0
    assert bench.cluster.read(bench.dlq) == []


def test_a_registry_that_lost_its_data_stops_the_consumer_and_no_record_is_given_up(bench: Bench) -> None:
    registry = registry_client(bench.settings())
    encoder = AvroEncoder(NEWS_SCHEMA, 1)
    bench.send(*(encoder.encode({"title": f"Rain {number}", "media": "BBC"}) for number in range(20)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("newsroom.schemas.registry.registry_client", lambda *_, **__: registry)
        with pytest.raises(RegistryUnavailable, match=r"schema id 1 is unknown .*the registry may have lost its data"):
            bench.run(format="avro", registry_timeout=0.3)
        assert bench.committed() == 0
        assert bench.cluster.read(bench.dlq) == []
        register(registry, "news-value", NEWS_SCHEMA)
        bench.run(format="avro", count=20)
    assert len(bench.sunk()) == 20
    assert bench.committed() == 20


def test_a_wrong_registry_address_is_found_out_before_the_first_record(bench: Bench) -> None:
    bench.send(b"\0\0\0\0\1x", partition=0)
    with pytest.raises(RegistryUnavailable, match=rf"no schema for topic {bench.topic} within 0\.2 s: .*not answer"):
        bench.run(format="avro", registry_url="http://127.0.0.1:9", registry_timeout=0.2)
    assert bench.committed() == 0


def test_a_second_member_takes_over_half_and_nothing_is_lost(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    stops = [StopFlag(), StopFlag()]
    members = [threading.Thread(target=service.serve, args=(bench.settings(), stop)) for stop in stops]
    sent = [b"%04d" % number for number in range(200)]
    second = bench.folder / "sink" / "consumed-1.jsonl"

    def second_reads_the_trickle() -> bool:
        more = [b"%04d" % number for number in range(len(sent), len(sent) + 4)]
        bench.send(*more)
        sent.extend(more)
        return bool(second.read_text())

    try:
        members[0].start()
        bench.send(*sent)
        wait_for("the first member reads alone", lambda: len(bench.sunk()) == len(sent))
        members[1].start()
        wait_for("the second member takes a slot", second.exists)
        wait_for("the second member reads", second_reads_the_trickle)
        wait_for("both read the rest", lambda: len(set(bench.values())) == len(sent))
        wait_for("both have committed it", lambda: bench.committed() == len(sent))
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
    assert len(bench.sunk()) == len(sent) or refused
    assert bench.committed() == len(sent)


def test_a_member_without_partitions_is_ready_too(bench: Bench) -> None:
    bench.cluster.gather_members(500)
    members = [
        (health, Member(bench.settings().member_config(None), bench.topic, health))
        for health in (Health(MEMBERSHIP) for _ in range(PARTITIONS + 1))
    ]
    try:
        for health, member in members:
            assert not health.ready()[0]
            member.subscribe()

        def settled() -> bool:
            for _, member in members:
                member.take(1)
            shares = sorted(len(member.owned) for _, member in members)
            return shares == [0, 1, 1, 1, 1] and all(health.ready()[0] for health, _ in members)

        wait_for("five ready members of four partitions", settled)
    finally:
        for _, member in members:
            member.__exit__(None, None, None)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_brokers_that_name_an_address_where_nobody_answers_end_the_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avro_consumer.loop.JOIN_SECONDS", 0.0)
    port = closed_port()
    named = rf"could not join consumer group {bench.group} within .*127.0.0.1:{port}.*refused.*advertised\.listeners"
    with Relay(bench.cluster.address, port) as relay, pytest.raises(ClusterUnavailable, match=named):
        bench.run(bootstrap_servers=relay.address, start_timeout=2.0)


def test_a_coordinator_that_never_answers_ends_the_start(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.loop.JOIN_SECONDS", 0.0)
    bench.cluster.fail_coordinators()
    with pytest.raises(ClusterUnavailable, match=rf"could not join consumer group {bench.group} within .*not a member"):
        bench.run(start_timeout=2.0)


def test_an_idle_member_ends(bench: Bench) -> None:
    bench.run(idle_exit=0.5)
    assert bench.sunk() == []


def test_a_cluster_that_is_not_there_is_a_sentence(bench: Bench) -> None:
    with pytest.raises(ClusterUnavailable, match=r"no broker answers .* after 0\.1 s: start the cluster"):
        bench.run(bootstrap_servers="127.0.0.1:9", start_timeout=0.1)
