"""What the demo and the tests take for the end of a topic, from answers as librdkafka gives them."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID

from newsroom_stack.errors import StackError
from newsroom_stack.pipeline import observe
from newsroom_stack.pipeline.observe import Observer
from support.cluster import MockCluster
from support.futures import done


class FakeAdmin:
    """A topic of two partitions; the second one's leader comes back after so many questions."""

    def __init__(self, silent_for: int) -> None:
        self.silent_for = silent_for

    def list_topics(self, topic: str, **_: object) -> object:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None, 1: None})})

    def list_offsets(self, asked: dict[Any, Any], **_: object) -> dict[Any, Future[Any]]:
        silent = {place for place in asked if place.partition == 1 and self.silent_for > 0}
        self.silent_for -= 1
        return {place: done(SimpleNamespace(offset=OFFSET_INVALID if place in silent else 7)) for place in asked}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(observe, "READ_SECONDS", 0.2)


def test_a_leader_that_went_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "AdminClient", lambda _: FakeAdmin(2))
    assert Observer("b1:9092").end_offsets("t") == {0: 7, 1: 7}


def test_an_end_that_nobody_tells_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "AdminClient", lambda _: FakeAdmin(1_000_000))
    with pytest.raises(StackError, match=r"topic t: no end offsets within 0\.2 s .*partitions \[1\] did not answer"):
        Observer("b1:9092").end_offsets("t")


def test_empty_partitions_are_read_to_their_end(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "READ_SECONDS", 20)
    topic, empty = cluster.topic(), cluster.topic()
    cluster.send(topic, [("a", "1"), ("b", "2"), ("a", "3")], partition=2)
    observer = Observer(cluster.address)
    assert observer.table(empty) == {}
    assert observer.table(topic) == {"a": b"3", "b": b"2"}
