"""The loop over stand-ins of its source and its format: what a slow registry, a signal and poison do to a batch."""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from typing_extensions import override

from avro_consumer.delivery import AtLeastOnce
from avro_consumer.effect import Effect
from avro_consumer.loop import Loop
from avro_consumer.records import AvroFormat, Format, Reading, Record
from avro_consumer.settings import AvroConsumerSettings
from newsroom.errors import ClusterUnavailable, DecodeError, RegistryUnavailable, SchemaInDoubt
from newsroom.health import Health
from newsroom.logs import configure_logging
from newsroom.schemas.avro import AvroDecoder, AvroEncoder
from newsroom.schemas.registry import register
from newsroom.waiting import Deadline, StopFlag, Stopped, do_nothing
from support.schemas import NEWS_SCHEMA, memory_registry


class FakeSource:
    """Gives records of one partition, those that were put back first."""

    joined = True
    without_records: str | None = None
    at_end = False
    uncommitted: frozenset[int] = frozenset()

    def __init__(self, number: int) -> None:
        self.waiting = [Record("news", 0, offset, 0, None, b"%d" % offset) for offset in range(number)]
        self.progress: list[dict[int, int]] = []
        self.commits = 0

    def take(self, limit: int) -> list[Record]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    def put_back(self, records: Sequence[Record]) -> None:
        self.waiting[:0] = records

    def done(self, progress: Mapping[int, int]) -> None:
        self.progress.append(dict(progress))

    def begin_commit(self) -> None:
        self.commits += 1

    def settle(self) -> bool:
        return False

    def commit(self) -> None:
        pass

    def forget(self, _: frozenset[int]) -> None:
        pass


class FakePoison:
    def __init__(self) -> None:
        self.put_offsets: list[int] = []

    def put(self, record: Record, error: Exception) -> None:
        assert str(error)
        self.put_offsets.append(record.offset)

    def deliver(self) -> None:
        pass


class FakeFormat:
    """Reads with `look`, which may raise."""

    def __init__(self, look: Callable[[Record], None]) -> None:
        self._look = look
        self.offsets: list[int] = []
        self.unexpected = 0

    def look_ahead(self, records: Sequence[Record]) -> None:
        pass

    def read_all(self, _: Sequence[Record]) -> None:
        pass

    def read_again(self) -> None:
        pass

    def read(self, record: Record) -> Reading:
        self._look(record)
        self.offsets.append(record.offset)
        return Reading(record, None, "text")

    def show(self, reading: Reading) -> str:
        return str(reading.value)


class CountingHealth(Health):
    ticks = 0

    @override
    def tick(self) -> None:
        self.ticks += 1
        super().tick()


class Bench:
    def __init__(
        self,
        number: int,
        look: Callable[[Record], None],
        start_seconds: float = 60,
        form: Format | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self.stop = StopFlag()
        self.health = CountingHealth()
        self.source = FakeSource(number)
        self.form = FakeFormat(look)
        self.poison = FakePoison()
        form = form or self.form
        self.loop = Loop(
            AvroConsumerSettings(**settings),
            start=Deadline(start_seconds),
            source=self.source,
            form=form,
            delivery=AtLeastOnce(self.source, Effect(form, self.poison)),
            health=self.health,
            stop=self.stop,
        )


def unknown(_: Record) -> None:
    raise DecodeError("schema id 7 is unknown to the registry")


def test_the_loop_ticks_within_a_batch_whose_records_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.loop.READING_SECONDS", 1000.0)
    now = 0.0
    monkeypatch.setattr("newsroom.waiting.time.monotonic", lambda: now)

    def look(record: Record) -> None:
        nonlocal now
        now += 1.5
        unknown(record)

    bench = Bench(300, look, count=300)
    bench.loop.run()
    assert bench.health.ticks >= 300
    assert len(bench.poison.put_offsets) == 300
    assert bench.source.progress[-1] == {0: 300}


class ShortOutput(io.StringIO):
    """Takes some lines; then its reader has closed the pipe."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._left = lines

    @override
    def write(self, text: str, /) -> int:
        self._left -= 1
        if self._left < 0:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize(("lines", "progress"), [(3, []), (7, [{0: 5}])])
def test_a_batch_that_nobody_saw_whole_is_not_committed(
    monkeypatch: pytest.MonkeyPatch, lines: int, progress: list[dict[int, int]]
) -> None:
    bench = Bench(10, do_nothing, batch_size=5)
    monkeypatch.setattr(sys, "stdout", ShortOutput(lines))
    configure_logging("avro-consumer", on_loss=lambda _: bench.stop.set())
    bench.loop.run()
    assert bench.source.progress == progress


def test_a_signal_within_a_batch_leaves_the_rest_uncommitted() -> None:
    def look(record: Record) -> None:
        if record.offset == 3:
            bench.stop.set()
        unknown(record)

    bench = Bench(500, look)
    bench.loop.run()
    assert bench.poison.put_offsets == [0, 1, 2, 3]
    assert bench.source.progress == [{0: 4}]
    assert bench.source.commits == 1


def test_a_batch_that_takes_long_is_read_on_in_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.loop.READING_SECONDS", 10.0)
    now = 0.0
    monkeypatch.setattr("newsroom.waiting.time.monotonic", lambda: now)

    def look(_: Record) -> None:
        nonlocal now
        now += 4

    bench = Bench(7, look, count=7)
    bench.loop.run()
    assert bench.form.offsets == list(range(7))
    assert bench.source.progress == [{0: 3}, {0: 6}, {0: 7}]
    assert bench.source.commits == 3


def test_a_signal_while_the_registry_is_away_leaves_the_record_uncommitted() -> None:
    def look(record: Record) -> None:
        if record.offset == 2:
            bench.stop.set()
            raise Stopped("the schema")

    bench = Bench(5, look)
    bench.loop.run()
    assert bench.form.offsets == [0, 1]
    assert bench.source.progress == [{0: 2}]


@pytest.mark.parametrize("stopped", [True, False])
def test_nothing_is_read_after_a_signal(*, stopped: bool) -> None:
    bench = Bench(2, lambda _: None, count=2)
    if stopped:
        bench.stop.set()
    bench.loop.run()
    assert bench.form.offsets == ([] if stopped else [0, 1])


def test_a_member_that_never_joins_ends_and_does_not_speak_of_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("avro_consumer.loop.JOIN_SECONDS", 0.0)
    monkeypatch.setattr("avro_consumer.loop.SILENCE_SECONDS", 0.0)
    configure_logging("avro-consumer")
    bench = Bench(0, lambda _: None, start_seconds=0.2)
    bench.source.joined, bench.source.without_records = False, "not a member of group g"
    with pytest.raises(ClusterUnavailable, match=r"could not join consumer group avro-consumer .*not a member of"):
        bench.loop.run()
    lines = capsys.readouterr().out
    assert "Cannot receive messages: not a member of group g" in lines
    assert "No new messages" not in lines


DOUBTFUL, GOOD, TEXT = "7", "1", "x"
"""Values whose schema is in doubt, can be used, and is not there at all."""


def doubting(bench: Bench, values: str) -> None:
    """Let the source have these values, one a record."""
    bench.source.waiting = [Record("news", 0, offset, 0, None, value.encode()) for offset, value in enumerate(values)]


def doubt(record: Record) -> None:
    if record.value == DOUBTFUL.encode():
        raise SchemaInDoubt("schema id 7 is unknown")
    if record.value == TEXT.encode():
        raise DecodeError("not Avro")


@pytest.mark.parametrize(
    ("values", "progress"),
    [
        ("17", [{0: 1}, {0: 2}]),
        ("1x7x", [{0: 2}, {0: 4}]),
        ("7", [{0: 1}]),
        ("71", [{0: 2}]),
        ("1x", [{0: 2}]),
        (f"1{'7' * 10}", [{0: 11}]),
    ],
)
def test_the_end_of_a_batch_that_is_in_doubt_waits_for_the_next_records(
    monkeypatch: pytest.MonkeyPatch, values: str, progress: list[dict[int, int]]
) -> None:
    monkeypatch.setattr("avro_consumer.loop.DOUBT_SECONDS", 0.1)
    bench = Bench(0, doubt, count=len(values))
    doubting(bench, values)
    bench.loop.run()
    assert bench.source.progress == progress
    assert bench.poison.put_offsets == [offset for offset, value in enumerate(values) if value != GOOD]


def test_a_record_after_those_in_doubt_ends_the_wait_whatever_the_batchs_size() -> None:
    bench = Bench(0, doubt, count=3, batch_size=1)
    doubting(bench, "171")
    bench.loop.run()
    assert bench.source.progress == [{0: 1}, {0: 3}]
    assert bench.poison.put_offsets == [1]


def test_a_signal_leaves_records_in_doubt_to_the_next_owner() -> None:
    def look(record: Record) -> None:
        if record.value == DOUBTFUL.encode():
            bench.stop.set()
        doubt(record)

    bench = Bench(0, look)
    doubting(bench, "1177")
    bench.loop.run()
    assert bench.source.progress == [{0: 2}]
    assert bench.poison.put_offsets == []


@pytest.mark.parametrize("first", [1, 4, 9])
def test_a_registry_that_lost_its_data_costs_no_record(first: int) -> None:
    """Records of a lost schema, of which the first take returns some; the registry knows a newer one."""
    registry = memory_registry()
    encoder = AvroEncoder(NEWS_SCHEMA, register(registry, "news-value", NEWS_SCHEMA))
    good = encoder.encode({"title": "Rain", "media": "BBC"})
    lost = good[:1] + (99).to_bytes(4, "big") + good[5:]
    bench = Bench(0, do_nothing, form=AvroFormat(AvroDecoder(registry, topic="news")), batch_size=first + 1)
    bench.source.waiting = [Record("news", 0, place, 0, None, good if place == 0 else lost) for place in range(30)]
    with pytest.raises(RegistryUnavailable, match="10 records in a row name it: the registry may have lost its data"):
        bench.loop.run()
    assert bench.poison.put_offsets == []
    assert bench.source.progress == [{0: 1}]
