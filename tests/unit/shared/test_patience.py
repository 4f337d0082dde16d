"""Asking again while coordinators and leaders move."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, KafkaException, TopicPartition
from confluent_kafka.error import KafkaError

from newsroom import patience
from newsroom.patience import committed_offsets, explicit, patiently
from newsroom.waiting import Deadline, StopFlag, Stopped


def _answers(*codes: int) -> Callable[[], int]:
    """Errors one after the other, then the number of the call that is answered."""
    left = list(codes)

    def ask() -> int:
        if left:
            raise KafkaException(KafkaError(left.pop(0)))
        return len(codes) + 1

    return ask


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.0)


def test_it_asks_again_while_the_broker_moves() -> None:
    ask = _answers(KafkaError.NOT_COORDINATOR, KafkaError._TRANSPORT, KafkaError.NOT_LEADER_FOR_PARTITION)
    assert patiently(ask, "offsets", Deadline(5), StopFlag()) == 4


@pytest.mark.parametrize("code", [KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_an_error_that_stays_is_raised_at_once(code: int) -> None:
    with pytest.raises(KafkaException) as raised:
        patiently(_answers(code), "offsets", Deadline(5), StopFlag())
    assert raised.value.args[0].code() == code


def test_patience_ends() -> None:
    with pytest.raises(KafkaException):
        patiently(_answers(KafkaError.NOT_COORDINATOR), "offsets", Deadline(0), StopFlag())


def test_patience_that_ends_while_it_looks_for_the_broker_tells_the_cluster_s_error() -> None:
    deadline = Deadline(0.05)
    with pytest.raises(KafkaException):
        patiently(
            _answers(KafkaError.NOT_COORDINATOR, KafkaError.NOT_COORDINATOR),
            "offsets",
            deadline,
            StopFlag(),
            refresh=lambda: time.sleep(deadline.left()),
        )


def test_a_stop_ends_it() -> None:
    stop = StopFlag()
    stop.set()
    with pytest.raises(Stopped, match="the broker for offsets is changing"):
        patiently(_answers(KafkaError.NOT_COORDINATOR), "offsets", Deadline(5), stop)


def test_an_error_of_one_partition_is_an_error() -> None:
    spoilt = SimpleNamespace(error=KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaException):
        committed_offsets(lambda: [cast("TopicPartition", spoilt)], Deadline(5), StopFlag())


def test_nothing_is_assigned_without_an_offset() -> None:
    places = [TopicPartition("t", 0, 7), TopicPartition("t", 1, OFFSET_INVALID)]
    assert [(place.partition, place.offset) for place in explicit(places)] == [(0, 7), (1, OFFSET_BEGINNING)]
