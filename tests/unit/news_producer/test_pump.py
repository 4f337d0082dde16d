"""The loop between sources and sender: order, limit, idleness and pace."""

import itertools

import pytest

from news_producer.inputs import BadLines
from news_producer.items import StringRecords, key_policy, lab_items
from news_producer.pump import Pace, interleave, pump
from newsroom.waiting import StopFlag


class ListOutput:
    """An output that keeps what it gets."""

    def __init__(self, stop: StopFlag | None = None) -> None:
        self.records: list[tuple[bytes | None, bytes | None]] = []
        self.flushes = 0
        self.idle = 0
        self._stop = stop

    def send(self, key: bytes | None, value: bytes | None) -> bool:
        self.records.append((key, value))
        return True

    def serve(self, seconds: float) -> None:
        assert seconds > 0
        self.idle += 1
        if self._stop is not None:
            self._stop.set()

    def flush(self) -> None:
        self.flushes += 1

    def check(self) -> None:
        pass


def test_sources_take_turns_and_an_idle_one_holds_up_nobody() -> None:
    assert list(interleave([iter([1, None, 2]), iter([None, None, None, 3])])) == [1, None, 2, 3]


def test_the_pump_stops_at_its_limit_and_flushes_each() -> None:
    output = ListOutput()
    encode = StringRecords(key_policy("own", "")).encode
    bad = BadLines(skip=False)
    sent = pump(lab_items(1), encode, output, stop=StopFlag(), bad=bad, pace=Pace(0), limit=5, flush_each=True)
    assert (sent, len(output.records), output.flushes) == (5, 5, 5)


def test_the_pump_stops_while_idle() -> None:
    stop = StopFlag()
    output = ListOutput(stop)
    encode = StringRecords(key_policy("own", "")).encode
    assert pump(itertools.repeat(None), encode, output, stop=stop, bad=BadLines(skip=False), pace=Pace(0)) == 0
    assert output.idle == 1


def test_a_pace_is_kept_and_catches_up_one_second_only() -> None:
    now = [0.0]
    pace = Pace(10, lambda: now[0])
    pace.took_one()
    assert pace.left() == pytest.approx(0.1)
    now[0] = 100.0
    due = 0
    while pace.left() <= 0:
        pace.took_one()
        due += 1
    assert due == pytest.approx(11, abs=1)
