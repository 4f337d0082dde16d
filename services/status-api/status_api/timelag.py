"""Lag in seconds: how long ago the first record that a group has not read was produced.

Each snapshot adds the end offset of each partition to a table. The first unread record was written between the last
point that does not have it and the first one that has it, so the distance of the two bounds the error.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from status_api.model import TimeLag
from status_api.progress import replace_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from status_api.model import Group, GroupPartition, Key, Partition

POINTS = 120
"""Points kept of a partition: two minutes of snapshots in which it grows."""

Points = deque[tuple[int, float, float]]
"""End offsets, with the first and the last time (seconds since the epoch) at which each was the end. All grow."""
NO_POINTS: Points = deque()


class TimeLags:
    """Remembers when each partition reached which end offset."""

    def __init__(self) -> None:
        self._points: dict[Key, Points] = {}

    def add(self, partitions: Mapping[Key, Partition], now: float) -> None:
        """Take in the end offsets that were read at `now`; forget the partitions that are not there."""
        self._points = {key: self._points.get(key) or deque(maxlen=POINTS) for key in partitions}
        for key, partition in partitions.items():
            if partition.end is not None and partition.known_at is None:
                add_point(self._points[key], partition.end, now)

    def with_seconds(self, groups: Iterable[Group], now: float) -> list[Group]:
        """Return the groups with the lag in seconds in each partition where it is known.

        A group whose coordinator is silent keeps its last values, with its last lag in seconds.
        """
        return [group if group.unknown_since else self._group(group, now) for group in groups]

    def _group(self, group: Group, now: float) -> Group:
        return replace_rows(group, tuple(self._row(row, now) for row in group.partitions))

    def _row(self, row: GroupPartition, now: float) -> GroupPartition:
        lag = time_lag(row, self._points.get((row.topic, row.partition), NO_POINTS), now)
        return row if lag == row.time_lag else replace(row, time_lag=lag)


def add_point(points: Points, end: int, now: float) -> None:
    """Add an end offset. An end that falls, or a clock that goes back, begins the table anew."""
    if points and (end < points[-1][0] or now < points[-1][2]):
        points.clear()
    first = points.pop()[1] if points and points[-1][0] == end else now
    points.append((end, first, now))


def time_lag(row: GroupPartition, points: Points, now: float) -> TimeLag | None:
    """Return how long ago the record at the commit was produced; None if that is not known."""
    if row.lag is None or row.committed is None or row.known_at is not None:
        return None
    if row.lag == 0 or row.only_markers:
        return TimeLag(0.0, "caught_up", 0.0)
    if row.tail is not None and row.tail.timestamp_ms is not None and row.tail.timestamp_ms >= 0:
        return TimeLag(round(max(0.0, now - row.tail.timestamp_ms / 1000), 3), "record", 0.0)
    first_unread = max(row.committed, row.low or 0)
    after = bisect_right(points, first_unread, key=lambda point: point[0])
    if after == 0 or after == len(points):
        return None
    (low, _, since), (high, until, _) = points[after - 1], points[after]
    produced = since + (until - since) * (first_unread - low) / (high - low)
    return TimeLag(round(max(0.0, now - produced), 3), "interpolated", round(until - since, 3))
