"""The loop between sources and sender. It keeps order, pace and limit, and reports bad records. No Kafka here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from news_producer.errors import BadInput
from news_producer.items import UNSENT, Skip
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from news_producer.items import Encoded, Item
    from news_producer.ledger import Ledger
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

T = TypeVar("T")

IDLE_SECONDS = 0.01
"""The wait when no source has an item: too short to slow a pipe, and it uses only 1 % of a core."""

LONGEST_WAIT_SECONDS = 0.1
"""The longest single wait at a slow rate; after each one the loop checks the stop flag."""

SHORTEST_WAIT_SECONDS = 0.001
"""The client waits in whole milliseconds, so a shorter wait would be a busy loop."""

CATCH_UP_SECONDS = 1.0
"""After a stall, the pace makes up for at most this much time, so that a long stall causes no long burst."""


class Output(Protocol):
    """The destination of records: the sender, or a list in tests."""

    def send(self, key: bytes | None, value: bytes | None) -> bool:
        """Take one record; return False if the service must stop first."""

    def serve(self, seconds: float) -> None:
        """Wait for at most `seconds`, and do the output's own work meanwhile."""

    def flush(self) -> None:
        """Wait for the delivery of every record."""

    def check(self) -> None:
        """Raise the error of an earlier record, if one failed."""


class Pace:
    """A rate in records per second; 0 sets no rate."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._clock = clock
        self._next = clock()

    def left(self) -> float:
        """Return the seconds until the next record is due; 0 or less if it is due now."""
        return self._next - self._clock() if self._interval else 0.0

    def took_one(self) -> None:
        """Move the due time on, because a record was sent."""
        if self._interval:
            self._next = max(self._next, self._clock() - CATCH_UP_SECONDS) + self._interval


def interleave(sources: Iterable[Iterable[T | None]]) -> Iterator[T | None]:
    """Yield the items of several sources in turn, and None when no source has an item."""
    active = [iter(source) for source in sources]
    if len(active) == 1:
        yield from active[0]
        return
    while active:
        idle = True
        for source in tuple(active):
            try:
                item = next(source)
            except StopIteration:
                active.remove(source)
                continue
            if item is not None:
                idle = False
                yield item
        if idle and active:
            yield None


def _is_due(pace: Pace, output: Output, stop: StopFlag) -> bool:
    """Wait until the next record is due; return False if the service must stop first."""
    while (left := pace.left()) > 0 and not stop:
        output.serve(min(max(left, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS))
    return not stop


class Entries:
    """Takes what the sources give, and accounts for what becomes no record.

    A bad entry of a feed costs itself. The user's own file ends the run, unless `skip_bad_lines` is set.
    """

    def __init__(self, ledger: Ledger, *, skip_bad_lines: bool) -> None:
        self._ledger = ledger
        self._skip_bad_lines = skip_bad_lines

    def take(self) -> None:
        """Count an item that a source gave."""
        self._ledger.read += 1

    def skip(self, skip: Skip) -> None:
        """Count what a source gave and what is no item.

        Raises:
            BadInput: it is a bad line of a file.
        """
        self._ledger.read += skip.entries
        self._skip(skip)

    def refuse(self, item: Item, error: BadInput) -> None:
        """Count an item that cannot be sent.

        Raises:
            BadInput: it is of a file.
        """
        self._skip(Skip(error.reason, f"{item.place()}: {error}", lines=item.lines))

    def leave(self) -> None:
        """Count the item that the end of the run left unsent, if there is one."""
        ledger = self._ledger
        ledger.skipped[UNSENT] += ledger.read - ledger.sent - ledger.skipped.total()

    def _skip(self, skip: Skip) -> None:
        self._ledger.skipped[skip.reason] += skip.entries
        if not skip.problem:
            return
        self._ledger.lost_lines += skip.lines
        if skip.lines and not self._skip_bad_lines:
            raise BadInput(skip.problem, skip.reason)
        log.warning("bad input line skipped" if skip.lines else "bad entry skipped", reason=skip.problem)


def pump(
    items: Iterator[Item | Skip | None],
    encode: Callable[[Item], Encoded],
    output: Output,
    entries: Entries,
    *,
    stop: StopFlag,
    pace: Pace,
    limit: int = 0,
    flush_each: bool = False,
    announce: Callable[[Item], None] | None = None,
) -> int:
    """Send items until they end, `limit` is reached (0: never) or the service must stop; return their number.

    Raises:
        NewsroomError: a file is bad, or the output failed.
    """
    sent = 0
    try:
        while not stop and (not limit or sent < limit):
            try:
                item = next(items)
            except StopIteration:
                break
            if item is None:
                output.serve(IDLE_SECONDS)
                continue
            if isinstance(item, Skip):
                entries.skip(item)
                continue
            entries.take()
            try:
                key, value = encode(item)
                if not _is_due(pace, output, stop):
                    break
                if announce:
                    announce(item)
                if not output.send(key, value):
                    break
            except BadInput as error:
                entries.refuse(item, error)
                continue
            sent += 1
            pace.took_one()
            if flush_each:
                output.flush()
                output.check()
    finally:
        entries.leave()
    return sent
