"""Records that were deleted before they were read."""

from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaException, TopicPartition
from confluent_kafka.error import KafkaError

from newsroom import unread
from newsroom.unread import UnreadWatch
from support.quix import counter


class FakeConsumer:
    def __init__(self, committed: int = OFFSET_INVALID, begin: int = 0) -> None:
        self.offset = committed
        self.begin = begin
        self.fails = False

    def get_watermark_offsets(self, _: Any, timeout: float) -> tuple[int, int]:  # noqa: ANN401
        assert timeout <= 2
        if self.fails:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return self.begin, 100


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "ASK_AGAIN_SECONDS", 0.0)


def lost(consumer: FakeConsumer, *offsets: int) -> float:
    before = counter("unread", topic="t")
    watch = UnreadWatch(consumer.get_watermark_offsets)
    watch.begin_at([TopicPartition("t", 0, consumer.offset)])
    for offset in offsets:
        watch.note("t", 0, offset)
    return counter("unread", topic="t") - before


def test_records_between_the_commit_and_the_beginning_are_lost(capsys: pytest.CaptureFixture[str]) -> None:
    assert lost(FakeConsumer(committed=4, begin=10), 10, 11) == 6
    text = capsys.readouterr().out
    assert "records were deleted before they were read" in text
    assert "offsets='4 to 9'" in text


def test_a_gap_behind_the_beginning_is_a_marker_or_compaction() -> None:
    assert lost(FakeConsumer(committed=4, begin=4), 4, 6, 9) == 0


def test_records_may_be_lost_while_the_consumer_runs() -> None:
    assert lost(FakeConsumer(begin=8), 3, 10) == 4


def test_a_group_without_commits_and_a_broker_that_is_silent_count_nothing() -> None:
    assert lost(FakeConsumer(begin=8), 8, 9) == 0
    consumer = FakeConsumer(committed=1, begin=8)
    consumer.fails = True
    assert lost(consumer, 8) == 0


@pytest.mark.parametrize(
    ("places", "gaps"),
    [
        ([(0, 4), (1, 7), (0, 5), (1, 8)], 0),
        ([(0, 6), (0, 7)], 2),
        ([(0, 4), (0, 9), (1, 0)], 4),
        ([(0, 4), (1, 0), (1, 3), (0, 5)], 2),
        ([], 0),
    ],
)
def test_many_records_count_as_each_alone(places: list[tuple[int, int]], gaps: int) -> None:
    before = counter("unread", topic="t")
    watch = UnreadWatch(FakeConsumer(begin=50).get_watermark_offsets)
    watch.begin_at([TopicPartition("t", 0, 4)])
    watch.note_all("t", [partition for partition, _ in places], [offset for _, offset in places])
    assert counter("unread", topic="t") - before == gaps
    for partition, offset in dict(places).items():
        watch.note("t", partition, offset + 1)
    assert counter("unread", topic="t") - before == gaps


def test_a_new_assignment_begins_at_its_commit() -> None:
    consumer = FakeConsumer(committed=20, begin=15)
    before = counter("unread", topic="t")
    watch = UnreadWatch(consumer.get_watermark_offsets)
    watch.note("t", 0, 5)
    watch.begin_at([TopicPartition("t", 0, 20)])
    watch.note("t", 0, 20)
    assert counter("unread", topic="t") == before


def test_a_silent_broker_is_not_asked_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = FakeConsumer(committed=4, begin=10)
    consumer.fails = True
    watch = UnreadWatch(consumer.get_watermark_offsets)
    watch.begin_at([TopicPartition("t", 0, 4), TopicPartition("u", 0, 4)])
    before = counter("unread", topic="u")
    watch.note("t", 0, 10)
    consumer.fails = False
    watch.note("u", 0, 10)
    assert counter("unread", topic="u") == before, "the loop does not wait once more"
    monkeypatch.setattr(unread, "SILENCE_SECONDS", 0.0)
    consumer.fails = True
    watch = UnreadWatch(consumer.get_watermark_offsets)
    watch.begin_at([TopicPartition("t", 0, 4), TopicPartition("u", 0, 4)])
    watch.note("t", 0, 10)
    consumer.fails = False
    watch.note("u", 0, 10)
    assert counter("unread", topic="u") == before + 6
