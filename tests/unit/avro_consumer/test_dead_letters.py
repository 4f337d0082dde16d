"""Dead letters: what arrives of them, and a failure that is a sentence when nobody takes them."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from avro_consumer.dead_letters import CUT_BYTES, DeadLetters
from avro_consumer.records import Record
from newsroom.dead_letters import LONGEST_ERROR
from newsroom.errors import DeliveryFailed, SettingsError
from newsroom.topics import DEAD_LETTER_BYTES
from newsroom.waiting import StopFlag
from support.cluster import MockCluster
from support.web import NOBODY

DEAD: dict[str, Any] = {"bootstrap.servers": NOBODY, "log_level": 0}
LONG = 60.0


def poison(value: bytes, key: bytes | None = None) -> Record:
    return Record("news", 0, 7, 0, key, value)


class Ticks:
    """Counts the turns of the loop; at one of them the signal comes."""

    def __init__(self, signal_at: int) -> None:
        self.number = 0
        self.stop = StopFlag()
        self._signal_at = signal_at

    def __call__(self) -> None:
        self.number += 1
        if self.number == self._signal_at:
            self.stop.set()


def letters_to(config: dict[str, Any], ticks: Ticks, topic: str = "news.dlq") -> DeadLetters:
    return DeadLetters(config, topic, "g", LONG, stop=ticks.stop, tick=ticks)


def test_the_wait_for_delivery_ticks_and_ends_some_time_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.dead_letters.STOP_SECONDS", 0.3)
    ticks = Ticks(signal_at=3)
    letters = letters_to(DEAD, ticks)
    letters.put(poison(b"x"), ValueError("bad"))
    with pytest.raises(DeliveryFailed, match=r"did not acknowledge 1 of them before the shutdown.*not committed"):
        letters.deliver()
    assert ticks.number > 3


def test_a_full_queue_ticks_and_ends_at_a_signal() -> None:
    ticks = Ticks(signal_at=2)
    letters = letters_to(DEAD | {"queue.buffering.max.messages": 1}, ticks)
    letters.put(poison(b"x"), ValueError("bad"))
    with pytest.raises(DeliveryFailed, match="queue stayed full until the shutdown"):
        letters.put(poison(b"x"), ValueError("bad"))
    assert ticks.number == 2


def test_a_ca_file_that_is_missing_is_a_sentence() -> None:
    config = DEAD | {"security.protocol": "SSL", "ssl.ca.location": "/none.pem"}
    with pytest.raises(SettingsError, match=r"refuses its settings: .*ssl\.ca\.location failed"):
        letters_to(config, Ticks(0)).put(poison(b"x"), ValueError("bad"))


def test_a_dead_letter_larger_than_its_topic_takes_is_cut_and_says_so(cluster: MockCluster) -> None:
    letters = letters_to({"bootstrap.servers": cluster.address}, Ticks(0))
    letters.put(poison(b"x" * (DEAD_LETTER_BYTES + 1), b"k"), ValueError("y" * 5000))
    letters.deliver()
    (letter,) = cluster.read("news.dlq")
    headers = dict(letter.headers() or [])
    assert letter.value() == b"x" * CUT_BYTES
    assert headers["dlq.value.bytes"] == str(DEAD_LETTER_BYTES + 1).encode()
    assert headers["dlq.origin.offset"] == b"7"
    assert headers["dlq.error"] == b"y" * LONGEST_ERROR


def test_a_dead_letter_that_the_brokers_find_too_large_is_cut_too(cluster: MockCluster) -> None:
    cluster.fail_next_write(KafkaError.MSG_SIZE_TOO_LARGE)
    letters = letters_to({"bootstrap.servers": cluster.address}, Ticks(0))
    letters.put(poison(b"x" * (CUT_BYTES + 1)), ValueError("bad"))
    letters.deliver()
    (letter,) = cluster.read("news.dlq")
    assert (len(letter.value() or b""), dict(letter.headers() or [])["dlq.value.bytes"]) == (
        CUT_BYTES,
        b"%d" % (CUT_BYTES + 1),
    )


def test_a_dead_letter_whose_key_and_headers_are_too_large_keeps_its_origin(cluster: MockCluster) -> None:
    letters = letters_to({"bootstrap.servers": cluster.address}, Ticks(0))
    record = Record("news", 0, 7, 0, b"k" * DEAD_LETTER_BYTES, b"x", (("h", b"y" * DEAD_LETTER_BYTES),))
    letters.put(record, ValueError("bad"))
    letters.deliver()
    (letter,) = cluster.read("news.dlq")
    headers = dict(letter.headers() or [])
    assert (letter.key(), letter.value()) == (None, b"")
    assert "h" not in headers
    assert (headers["dlq.origin.offset"], headers["dlq.value.bytes"]) == (b"7", b"1")
