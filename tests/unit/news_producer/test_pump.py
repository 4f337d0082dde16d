"""The loop between sources and sender: order, limit, idleness, pace, and the account of what was not sent."""

import itertools
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from news_producer.errors import BadInput
from news_producer.items import MALFORMED, SEEN, TOO_LARGE, UNFIT, UNSENT, Item, Skip, lab_items
from news_producer.ledger import Ledger
from news_producer.pump import Entries, Pace, interleave, pump
from newsroom.errors import DeliveryFailed
from newsroom.waiting import StopFlag
from unit.news_producer.account import ListOutput, account_of, encoder


def test_sources_take_turns_and_an_idle_one_holds_up_nobody() -> None:
    assert list(interleave([iter([1, None, 2]), iter([None, None, None, 3])])) == [1, None, 2, 3]


class Bench:
    """A pump of strings."""

    def __init__(self, stop: StopFlag | None = None) -> None:
        self.ledger = Ledger("t")
        self.stop = StopFlag()
        self.output = ListOutput(self.ledger, stop and self.stop)

    def pump(self, items: Iterator[Item | Skip | None], *, limit: int = 0, flush_each: bool = False) -> int:
        entries = Entries(self.ledger, skip_bad_lines=False)
        options = {"stop": self.stop, "pace": Pace(0)}
        return pump(items, encoder("string"), self.output, entries, limit=limit, flush_each=flush_each, **options)  # type: ignore[arg-type]


def test_the_pump_stops_at_its_limit_and_flushes_each() -> None:
    bench = Bench()
    assert bench.pump(iter(lab_items(1)), limit=5, flush_each=True) == 5
    assert (len(bench.output.records), bench.output.flushes) == (5, 5)
    assert (bench.ledger.read, bench.ledger.sent, +bench.ledger.skipped) == (5, 5, {})


def test_the_pump_stops_while_idle() -> None:
    bench = Bench(StopFlag())
    bench.stop.clear()
    bench.output._stop = bench.stop
    assert bench.pump(itertools.repeat(None)) == 0
    assert (bench.output.idle, bench.ledger.read) == (1, 0)


FEED: list[Item | Skip] = [
    Skip(SEEN, entries=7),
    Skip(MALFORMED, "feed x: entry 3 is odd"),
    Item("a", {"title": "A"}, "feed"),
    Item("b", {}, "feed"),
    Item("c", {"title": "C"}, "feed"),
]


def test_bad_entries_of_a_feed_cost_themselves_and_are_counted() -> None:
    with capture_logs() as lines:
        records, ledger = account_of(FEED, "string", skip=False)
    assert [key for key, _ in records] == [b"a", b"c"]
    assert (ledger.read, ledger.new, ledger.lost_lines) == (11, 4, 0)
    assert ledger.skipped == {SEEN: 7, MALFORMED: 1, UNFIT: 1, UNSENT: 0}
    assert [line["reason"] for line in lines] == ["feed x: entry 3 is odd", "feed: the field 'value' is missing"]


FILE: list[Item | Skip] = [
    Item("a", {"value": "A"}, "f", 1, 1),
    Skip(MALFORMED, "f, line 2: odd", lines=1),
    Item("b", {}, "f", 3, 4),
]


def test_bad_lines_of_a_file_end_the_run_or_are_counted_as_lines() -> None:
    bench = Bench()
    with pytest.raises(BadInput, match="f, line 2: odd"):
        bench.pump(iter(FILE))
    assert (bench.ledger.read, bench.ledger.sent, +bench.ledger.skipped) == (2, 1, {MALFORMED: 1})
    records, ledger = account_of(FILE, "string", skip=True)
    assert (len(records), ledger.read, ledger.lost_lines) == (1, 3, 5)
    account = ledger.account()
    assert (account["skipped"], account["why"], account["lost_lines"]) == (2, {MALFORMED: 1, UNFIT: 1}, 5)


class FailingOutput(ListOutput):
    """Refuses the first record for its size, and fails at the second."""

    @override
    def send(self, key: bytes | None, value: bytes | None) -> bool:
        if value == b"large":
            raise BadInput("a record of 5 bytes is too large", TOO_LARGE)
        raise DeliveryFailed("no broker")


def test_an_item_that_the_end_of_the_run_leaves_is_counted() -> None:
    bench = Bench()
    bench.output = FailingOutput(bench.ledger)
    items = [Item(None, {"value": text}, "feed") for text in ("large", "small", "never read")]
    with pytest.raises(DeliveryFailed):
        bench.pump(iter(items))
    assert (bench.ledger.read, bench.ledger.sent, +bench.ledger.skipped) == (2, 0, {TOO_LARGE: 1, UNSENT: 1})


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
