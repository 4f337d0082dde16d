"""Committed offsets through a stand-in of kafka-python's client: batches, refusals, brokers that hang or have moved."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from kafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    NotCoordinatorError,
    RequestTimedOutError,
)
from kafka.structs import OffsetAndMetadata, TopicPartition

from newsroom import inquiry
from newsroom.errors import ClusterUnavailable
from newsroom.group_offsets import OffsetsReader
from newsroom.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = KafkaSettings(bootstrap_servers="b1:9092")


class FakeClient:
    """Groups with one commit each; asked for one in `errors` it raises, for one in `hanging` it waits."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.hanging: set[str] = set()
        self.asked: list[list[str]] = []
        self.made = 0
        self.closed = threading.Event()

    def __call__(self, **_: Any) -> FakeClient:  # noqa: ANN401
        self.made += 1
        return self

    def list_group_offsets(self, groups: dict[str, None]) -> dict[str, dict[TopicPartition, OffsetAndMetadata]]:
        self.asked.append(list(groups))
        if self.hanging & groups.keys():
            self.closed.wait(5)
            raise KafkaConnectionError("closed")
        for error in (self.errors[group] for group in groups if group in self.errors):
            raise error
        return {
            group: {
                TopicPartition("t", 0): OffsetAndMetadata(len(group), "", None),
                TopicPartition("t", 1): OffsetAndMetadata(-1, "", None),
            }
            for group in groups
        }

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    found = FakeClient()
    monkeypatch.setattr(inquiry, "KafkaAdminClient", found)
    return found


@pytest.fixture
def reader(client: FakeClient) -> Iterator[OffsetsReader]:
    assert client.made == 0
    with OffsetsReader(SETTINGS, 0.4) as found:
        yield found


def test_offsets_of_batches_over_one_connection(client: FakeClient, reader: OffsetsReader) -> None:
    expected = {"a": {("t", 0): 1}, "bb": {("t", 0): 2}, "ccc": {("t", 0): 3}}
    for _ in range(2):
        assert reader.ask([["a", "bb"], ["ccc"], []]).result(5) == expected
    assert client.made == 1
    assert sorted(client.asked) == [["a", "bb"], ["a", "bb"], ["ccc"], ["ccc"]]
    assert reader.ask([]).result(5) == {}


def test_a_group_that_is_refused_spoils_only_itself(client: FakeClient, reader: OffsetsReader) -> None:
    client.errors["bad"] = GroupAuthorizationFailedError()
    found = reader.ask([["a", "bad", "bb"]]).result(5)
    assert (found["a"], found["bb"]) == ({("t", 0): 1}, {("t", 0): 2})
    assert "DESCRIBE on group" in str(found["bad"])
    reader.ask([["a"]]).result(5)
    assert client.made == 1


@pytest.mark.parametrize("error", [NotCoordinatorError(), KafkaConnectionError("reset"), RequestTimedOutError()])
def test_after_a_coordinator_was_lost_another_client_finds_it(
    client: FakeClient, reader: OffsetsReader, error: KafkaError
) -> None:
    client.errors["moved"] = error
    found = reader.ask([["moved"], ["a"]]).result(5)
    assert found["a"] == {("t", 0): 1}
    assert isinstance(found["moved"], str)
    client.errors.clear()
    assert reader.ask([["moved"]]).result(5) == {"moved": {("t", 0): 5}}
    assert client.made == 2


def test_a_broker_that_hangs_holds_up_its_own_groups_alone(client: FakeClient, reader: OffsetsReader) -> None:
    client.hanging.add("hung")
    started = time.monotonic()
    found = reader.ask([["hung", "other"], ["a"]]).result(5)
    assert time.monotonic() - started < 2
    assert found == {"hung": "no answer within 0.4 s", "other": "no answer within 0.4 s", "a": {("t", 0): 1}}
    client.hanging.clear()
    assert reader.ask([["hung"]]).result(5) == {"hung": {("t", 0): 4}}


def test_no_connection_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise KafkaConnectionError("no broker")

    monkeypatch.setattr(inquiry, "KafkaAdminClient", fails)
    with OffsetsReader(SETTINGS, 0.4) as reader:
        error = reader.ask([["a"]]).exception(5)
    assert isinstance(error, ClusterUnavailable)
    assert "b1:9092 gave no committed offsets: " in str(error)
    assert "no broker" in str(error)
