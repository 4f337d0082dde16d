"""A replica that its group gives no place: the start ends with a sentence, not never."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from quixstreams.models import Topic

from newsroom.admin import members
from newsroom.errors import GroupNotJoined
from newsroom.health import Health
from newsroom.slots import take_slot
from newsroom.streams import joining
from newsroom.streams.application import StreamApplication
from newsroom.streams.errors import interruption
from newsroom.streams.replica import NEEDS
from newsroom.streams.settings import StreamSettings
from newsroom.waiting import Deadline, StopFlag
from support.cluster import MockCluster
from support.relay import Relay
from support.waiting import wait_for

Joins = Callable[[str, str], None]


@pytest.fixture
def joins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Joins:
    """Lets a replica's own consumer join its group at an address, with two seconds left of its start."""
    monkeypatch.setattr(joining, "JOIN_SECONDS", 0.0)

    def run(address: str, topic: str) -> None:
        settings = StreamSettings(consumer_group="g", state_dir=tmp_path, bootstrap_servers=address)
        with take_slot(tmp_path) as slot:
            app = StreamApplication(
                settings, slot, tmp_path, Health(*NEEDS), StopFlag(), poll_seconds=0.1, start=Deadline(2.0)
            )
            consumer = app._consumer
            consumer._user_error_cb = app._on_consumer_error
            app._joining.begin()
            consumer.subscribe([Topic(topic)], on_assign=app._on_assign)
            try:
                wait_for("the end", lambda: consumer.poll(0.1), 30)
            finally:
                consumer.close()  # type: ignore[no-untyped-call]

    return run


def test_a_coordinator_that_never_answers_ends_the_start(brokers: MockCluster, joins: Joins) -> None:
    topic = brokers.topic()
    brokers.fail_coordinators()
    with pytest.raises(
        GroupNotJoined, match=rf"could not join consumer group g at {brokers.address} within 2 s"
    ) as raised:
        joins(brokers.address, topic)
    assert interruption(raised.value) is None, "the replica ends instead of starting over"


def test_brokers_that_name_an_address_where_nobody_answers_are_named(brokers: MockCluster, joins: Joins) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    topic = brokers.topic()
    named = rf"\(the last error: .*127\.0\.0\.1:{port}.*refused.*advertised\.listeners"
    with Relay(brokers.address, port) as relay, pytest.raises(GroupNotJoined, match=named):
        joins(relay.address, topic)


def test_a_replica_that_has_its_partitions_is_never_late(tmp_path: Path) -> None:
    late = joining.Joining(StreamSettings(consumer_group="g", state_dir=tmp_path), "g-0", Deadline(0))
    late.begin()
    late.done()
    late.check()


class Remover:
    """Notes what is removed from which group."""

    made: ClassVar[list[tuple[str, str]]] = []
    kept: ClassVar[list[str]] = []

    def __init__(self, _: StreamSettings, group: str, name: str) -> None:
        self.made.append((group, name))

    def remove_all_but(self, member: str) -> None:
        self.kept.append(member)

    def close(self) -> None:
        self.kept.append("closed")


@pytest.mark.parametrize(
    ("options", "removals"),
    [({}, 1), ({"delivery": "at-least-once"}, 0), ({"static_membership": True}, 0)],
    ids=["transactions", "names that several replicas may have", "static member"],
)
def test_only_a_name_that_one_living_replica_has_is_taken_out_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], removals: int
) -> None:
    monkeypatch.setattr(members, "MemberRemover", Remover)
    monkeypatch.setattr(Remover, "made", [])
    monkeypatch.setattr(Remover, "kept", [])
    replica = joining.Joining(StreamSettings(consumer_group="g", state_dir=tmp_path, **options), "g-0", None)
    replica.remove_former("m1")
    replica.remove_former("m2")
    replica.close()
    assert Remover.made == [("g", "g-0")] * removals
    assert Remover.kept == ["m1", "m2", "closed"] * removals
