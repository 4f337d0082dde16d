"""What the combiner writes in a checkpoint, and that it never keeps what it wrote."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from newsroom.errors import ClusterUnavailable
from wordcount_stream.combiner import DELTA_KEY, Combiner
from wordcount_stream.deltas import decode, home_of

PARTITIONS = 6


@dataclass
class FakeProducer:
    fails_at: int = -1
    records: list[dict[str, Any]] = field(default_factory=list)

    def produce(self, topic: str, value: bytes, key: bytes, **options: Any) -> None:  # noqa: ANN401
        if len(self.records) == self.fails_at:
            raise BufferError("queue full")
        self.records.append({"topic": topic, "value": decode(value), "key": key, **options})

    def totals(self) -> dict[str, int]:
        return {word: n for record in self.records for word, n in record["value"].items()}


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
def combiner(producer: FakeProducer) -> Combiner:
    return Combiner(lambda: producer, "word-deltas", PARTITIONS)


def add(combiner: Combiner, words: list[str], timestamp: int = 1000) -> None:
    combiner.add(words, b"key", timestamp, [], "mytopic", 0, 0)


def test_words_of_all_records_are_added_up(combiner: Combiner, producer: FakeProducer) -> None:
    add(combiner, ["a", "b", "a"])
    add(combiner, ["a", "c"])
    combiner.flush()
    assert producer.totals() == {"a": 3, "b": 1, "c": 1}


def test_each_word_is_sent_to_its_home_under_the_one_key(combiner: Combiner, producer: FakeProducer) -> None:
    add(combiner, [f"value{i}" for i in range(21)])
    combiner.flush()
    for record in producer.records:
        assert (record["topic"], record["key"]) == ("word-deltas", DELTA_KEY)
        assert {home_of(word, PARTITIONS) for word in record["value"]} == {record["partition"]}


def test_deltas_carry_the_newest_timestamp_of_their_inputs(combiner: Combiner, producer: FakeProducer) -> None:
    add(combiner, ["a"], timestamp=2000)
    add(combiner, ["b"], timestamp=1000)
    combiner.flush()
    assert {record["timestamp"] for record in producer.records} == {2000}


def test_the_next_checkpoint_starts_empty(combiner: Combiner, producer: FakeProducer) -> None:
    add(combiner, ["a"], timestamp=2000)
    combiner.flush()
    producer.records.clear()
    combiner.flush()
    assert producer.records == []
    add(combiner, ["a"], timestamp=1000)
    combiner.flush()
    assert producer.totals() == {"a": 1}
    assert producer.records[0]["timestamp"] == 1000


def test_records_without_timestamp_get_the_producers(combiner: Combiner, producer: FakeProducer) -> None:
    add(combiner, ["a"], timestamp=-1)
    combiner.flush()
    assert producer.records[0]["timestamp"] is None


def test_after_a_failed_flush_nothing_is_written_again(combiner: Combiner, producer: FakeProducer) -> None:
    # Quix aborts the transaction and reads the same records again: words kept here would count twice.
    producer.fails_at = 1
    add(combiner, [f"value{i}" for i in range(21)])
    with pytest.raises(ClusterUnavailable, match="word-deltas"):
        combiner.flush()
    producer.fails_at = -1
    producer.records.clear()
    combiner.flush()
    assert producer.records == []


def test_a_flush_ends_by_itself_before_quix_gives_it_up(
    combiner: Combiner, producer: FakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordcount_stream.combiner.FLUSH_SECONDS", 0.0)
    add(combiner, ["a"])
    with pytest.raises(ClusterUnavailable):
        combiner.flush()
    assert producer.records == []


def test_a_pause_drops_what_will_be_read_again(combiner: Combiner, producer: FakeProducer) -> None:
    add(combiner, ["a"])
    combiner.on_paused()
    combiner.flush()
    assert producer.records == []
