"""The loop between sources and sender: order, pace, limit and what happens to bad records. No Kafka here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from news_producer.errors import BadInput
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from news_producer.inputs import BadLines
    from news_producer.records import Encoded, Item
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

T = TypeVar("T")

IDLE_SECONDS = 0.01
"""A wait when no source has anything: short, so that a pipe is not slowed, and still only 1 % of a core."""

LONGEST_WAIT_SECONDS = 0.1
"""Pauses of a slow rate are cut into such slices, so that a stop is noticed."""

SHORTEST_WAIT_SECONDS = 0.001
"""The client waits in whole milliseconds; a shorter wait would be a busy loop."""

CATCH_UP_SECONDS = 1.0
"""After a stall no more than this is made up for, so that the rate stays a rate."""


class Output(Protocol):
    """Where records go: the sender, or a list in tests."""

    def send(self, key: bytes | None, value: bytes | None) -> bool:
        """Take one record; false when it was not taken because the service is to stop."""

    def serve(self, seconds: float) -> None:
        """Do what has to be done while waiting, for at most `seconds`."""

    def flush(self) -> None:
        """Wait until everything is delivered."""

    def check(self) -> None:
        """Raise what went wrong with earlier records."""


class Pace:
    """A rate in records per second; 0 is none."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._clock = clock
        self._next = clock()

    def left(self) -> float:
        """Seconds until the next record is due; 0 or less when it is."""
        return self._next - self._clock() if self._interval else 0.0

    def took_one(self) -> None:
        """A record was sent."""
        if self._interval:
            self._next = max(self._next, self._clock() - CATCH_UP_SECONDS) + self._interval


def interleave(sources: Iterable[Iterator[T | None]]) -> Iterator[T | None]:
    """Items of several sources in turn; None when none of them has any."""
    active = list(sources)
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
    """Wait until the next record is due; false when the service is to stop first."""
    while (left := pace.left()) > 0 and not stop:
        output.serve(min(max(left, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS))
    return not stop


def _settle(output: Output) -> None:
    output.flush()
    output.check()


def pump(
    items: Iterator[Item | None],
    encode: Callable[[Item], Encoded],
    output: Output,
    *,
    stop: StopFlag,
    bad: BadLines,
    pace: Pace,
    limit: int = 0,
    flush_each: bool = False,
    announce: Callable[[Item], None] | None = None,
) -> int:
    """Send items until they end, `limit` is reached (0: never) or the service is to stop; return how many."""
    sent = 0
    while not stop and (not limit or sent < limit):
        try:
            item = next(items)
        except StopIteration:
            break
        if item is None:
            output.serve(IDLE_SECONDS)
            continue
        try:
            key, value = encode(item)
        except BadInput as error:
            bad.report(error)
            continue
        if not _is_due(pace, output, stop):
            break
        if announce:
            announce(item)
        try:
            if not output.send(key, value):
                break
        except BadInput as error:
            bad.report(BadInput(f"{item.place()}: {error}"))
            continue
        sent += 1
        pace.took_one()
        if flush_each:
            _settle(output)
    return sent
