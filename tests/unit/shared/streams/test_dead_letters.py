"""A dead letter fits into its topic, whatever the record: a refused one would abort each transaction that has it."""

from typing import Any, cast

import pytest
from quixstreams.context import set_message_context
from quixstreams.models import MessageContext

from newsroom.dead_letters import LONGEST_ERROR
from newsroom.errors import ClusterUnavailable
from newsroom.streams.dead_letters import DeadLetters, DeadLetterTopic
from newsroom.streams.decoding import InputMetrics, Poison

MOST = 10_000
INPUTS = InputMetrics("dead_letters_test")


class Producer:
    """Keeps what is produced; it is full when it should be."""

    def __init__(self) -> None:
        self.full = False
        self.produced: list[tuple[str, Any, Any, Any]] = []

    def produce(self, topic: str, value: Any, key: Any, *, headers: Any) -> None:  # noqa: ANN401
        if self.full:
            raise BufferError
        self.produced.append((topic, key, value, headers))


def put(poison: Poison, key: bytes | None = b"k", headers: Any = (), producer: Producer | None = None) -> Any:  # noqa: ANN401
    producer = producer or Producer()
    set_message_context(MessageContext(topic="news", partition=2, offset=7, size=1))
    letters = DeadLetters(DeadLetterTopic("g.dlq", "g", MOST), INPUTS, lambda: cast("Any", producer))
    letters.put(poison, key, 5, headers)
    return producer.produced[0]


def size(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(text or b"") for name, text in headers)


def test_a_record_that_fits_is_kept_as_it_was() -> None:
    topic, key, value, headers = put(Poison("why", None), None, [("a", None), ("a", b"\xff")])
    assert (topic, key, value) == ("g.dlq", None, None)
    assert headers[:2] == [("a", None), ("a", b"\xff")]
    assert ("dlq.error", b"why") in headers


def test_of_a_value_that_is_too_large_the_beginning_is_kept() -> None:
    _, key, value, headers = put(Poison("why", b"v" * MOST))
    assert (key, value) == (b"k", b"v" * (MOST // 2))
    assert ("dlq.value.bytes", b"10000") in headers
    assert size(key, value, headers) < MOST


@pytest.mark.parametrize("large", ["key", "headers"])
def test_of_a_record_that_does_not_fit_without_its_value_its_origin_is_kept(large: str) -> None:
    own: list[tuple[str, bytes | None]] = [("h", b"h" * MOST)] if large == "headers" else []
    _, key, value, headers = put(Poison("x" * MOST, b"v"), b"k" * MOST if large == "key" else b"k", own)
    assert (key, value) == (None, b"")
    assert dict(headers)["dlq.origin.offset"] == b"7"
    assert len(dict(headers)["dlq.error"]) == LONGEST_ERROR
    assert size(key, value, headers) < MOST


def test_a_client_whose_queue_is_full_is_an_outage() -> None:
    producer = Producer()
    producer.full = True
    with pytest.raises(ClusterUnavailable, match=r"did not accept a dead letter for topic g\.dlq"):
        put(Poison("why", b"v"), producer=producer)
