"""Lag in seconds: how long ago the first record that a group has not read was produced.

Each snapshot adds the end offset of each partition to a table. The first unread record was written between the last
time without it and the first time with it, so the distance of the two bounds the error. For commits outside of the
table some records are read, for their timestamps (`status_api.tails`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections import deque
from typing import TYPE_CHECKING

from status_api.marks import TimeLag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from status_api.marks import Tail
    from status_api.model import Key, Partition
    from status_api.progress import Place

POINTS = 120
"""Points kept of a partition: two minutes of snapshots in which it grows."""
READINGS = 60
"""Timestamps of records kept of a partition."""
AHEAD = 2
"""A record is read as many times as far before a moving commit as it moved since the last one that was read."""
MILLISECONDS = 1000

CAUGHT_UP = TimeLag(0.0, "caught_up", 0.0)

Dated = tuple[int, float]
"""An offset, and a time (seconds since the epoch)."""


class Track:
    """What is known of the times at which the records of one partition were produced."""

    __slots__ = ("_ends", "_firsts", "_lasts", "_order", "_readings")

    def __init__(self) -> None:
        # Arrays, because a tuple for each point would be most of the service's memory.
        self._ends = array("q")
        self._firsts = array("d")
        """When an end was known first. The record before it is not newer."""
        self._lasts = array("d")
        """When an end was asked for last and had not changed. The record after it is not older."""
        self._readings: list[Dated] = []
        """Records that were read: the offset from which each is the first one, and its timestamp. Offsets grow."""
        self._order: deque[Dated] = deque()
        """The same, in the order in which they were read."""

    def add(self, end: int, asked: float, known: float) -> None:
        """Add an end offset that was asked for and known at these times.

        An end that falls, or a clock that goes back, begins the table anew.
        """
        if self._ends and (end < self._ends[-1] or asked < self._lasts[-1]):
            if end < self._ends[-1]:
                self._readings.clear()
                self._order.clear()
            for column in (self._ends, self._firsts, self._lasts):
                del column[:]
        if self._ends and self._ends[-1] == end:
            self._lasts[-1] = asked
            return
        self._ends.append(end)
        self._firsts.append(known)
        self._lasts.append(asked)
        for column in (self._ends, self._firsts, self._lasts):
            del column[:-POINTS]

    def add_reading(self, offset: int, timestamp: float) -> None:
        """Add the timestamp of the first record from an offset on."""
        if (offset, timestamp) in self._readings:
            return
        insort(self._readings, (offset, timestamp))
        self._order.append((offset, timestamp))
        if len(self._order) > READINGS:
            self._readings.remove(self._order.popleft())

    def before(self, offset: int) -> Dated | None:
        """Return the last place up to this offset of which the time is known: that record is not older."""
        number = bisect_right(self._ends, offset) - 1
        if number >= 0:
            return self._ends[number], self._lasts[number]
        number = bisect_right(self._readings, offset, key=_offset_of) - 1
        return self._readings[number] if number >= 0 else None

    def after(self, offset: int) -> Dated | None:
        """Return the first place after this offset of which the time is known: that record is not newer."""
        number = bisect_right(self._ends, offset)
        if number == len(self._ends):
            return None
        if number == 0:
            reading = bisect_right(self._readings, offset, key=_offset_of)
            if reading < len(self._readings) and self._readings[reading][0] < self._ends[0]:
                return self._readings[reading]
        return self._ends[number], self._firsts[number]

    def ahead(self, offset: int, low: int, high: int) -> int | None:
        """Return where to read a record that a moving commit reaches soon; None if one is known there.

        The commit is at `offset`, between two places of which the time is known.
        """
        if offset >= self._ends[0]:
            return None
        if high == self._ends[0]:  # nothing was read ahead of it yet, or it jumped over what was
            place = offset + AHEAD * (offset - low)
        elif 2 * offset >= low + high:
            place = high + (high - low)
        else:
            return None
        return place if place < self._ends[0] and self.reading(place) is None else None

    def reading(self, offset: int) -> float | None:
        """Return the timestamp of the first record from this offset on, if it was read."""
        number = bisect_right(self._readings, offset, key=_offset_of) - 1
        return self._readings[number][1] if number >= 0 and self._readings[number][0] == offset else None


def _offset_of(dated: Dated) -> int:
    return dated[0]


class TimeLags:
    """Remembers when each partition reached which end offset, and the timestamps of records that were read."""

    def __init__(self) -> None:
        self._tracks: dict[Key, Track] = {}
        self._tails: Mapping[Place, Tail] = {}
        self._now = 0.0
        self.wanted: set[Place] = set()
        """Where a record is to be read: it would tell a lag that is not known well enough."""
        self.used: set[Place] = set()
        """The places at which no record waits: what stands there is needed on."""

    def add(self, partitions: Mapping[Key, Partition], tails: Mapping[Place, Tail], asked: float, known: float) -> None:
        """Take in the end offsets of a snapshot, asked for and known at these times, and what was read of the logs.

        Partitions that are not there are forgotten.
        """
        self._tracks = {key: self._tracks.get(key) or Track() for key in partitions}
        for key, partition in partitions.items():
            if partition.end is not None and partition.known_at is None:
                self._tracks[key].add(partition.end, asked, known)
        for (topic, number, offset), tail in tails.items():
            track = self._tracks.get((topic, number))
            if track is not None and tail.waits and tail.timestamp_ms is not None and tail.timestamp_ms >= 0:
                track.add_reading(offset, tail.timestamp_ms / MILLISECONDS)
        self._tails, self._now = tails, known
        self.wanted, self.used = set(), set()

    def of(self, key: Key, committed: int | None, partition: Partition | None) -> TimeLag | None:
        """Return how long ago the first record from a commit on was produced; None if that is not known."""
        if committed is None or partition is None or partition.end is None or partition.known_at is not None:
            return None
        if committed >= partition.end:
            return CAUGHT_UP if committed == partition.end else None
        place = (*key, max(committed, partition.low or 0))
        first_unread, tail = place[2], self._tails.get(place)
        if tail is not None and not tail.waits and tail.end <= partition.end:
            self.used.add(place)
            if tail.end == partition.end:
                return CAUGHT_UP
            first_unread = max(first_unread, tail.end)
        track = self._tracks[key]
        timestamp = track.reading(first_unread)
        if timestamp is not None:
            return TimeLag(round(max(0.0, self._now - timestamp), 3), "record", 0.0)
        return self._between(key, first_unread, track)

    def _between(self, key: Key, first_unread: int, track: Track) -> TimeLag | None:
        before, after = track.before(first_unread), track.after(first_unread)
        if after is None:
            return None
        if before is None:
            self.wanted.add((*key, first_unread))
            return None
        (low, since), (high, until) = before, after
        produced = since + (until - since) * (first_unread - low) / (high - low)
        lag = TimeLag(round(max(0.0, self._now - produced), 3), "interpolated", round(abs(until - since), 3))
        ahead = track.ahead(first_unread, low, high)
        if ahead is not None:
            self.wanted.add((*key, ahead))
        return lag
