"""The last ten minutes of what topics and groups have done, for rates and sparklines."""

from __future__ import annotations

import math
import threading
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from status_api.model import Snapshot

STEP_SECONDS = 5.0
"""The time between two samples. A rate is taken over at least this long."""
SAMPLES = 121
"""Ten minutes."""
MOST_SERIES = 2000
"""How many topics and how many groups have samples."""

Key = tuple[str, str]
"""What is sampled, and the name of the topic or group."""


class History:
    """Samples of end offsets, committed offsets and lags. One thread calls `add`; any thread may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: array[float] = array("d")
        self._series: dict[Key, array[float]] = {}
        """The samples of each key, the newest last. A key that came later has fewer of them."""
        self._newest: dict[Key, float] = {}
        self._newest_at = 0.0

    def add(self, snapshot: Snapshot) -> None:
        """Take in a snapshot; each `STEP_SECONDS` it becomes a sample."""
        at = snapshot.collected_at.timestamp()
        values = dict(_values(snapshot.visible(internal=False)))
        with self._lock:
            self._newest, self._newest_at = values, at
            if self._times and at - self._times[-1] < STEP_SECONDS:
                return
            self._times.append(at)
            self._series = {key: self._series.get(key, array("d")) for key in values}
            for key, series in self._series.items():
                series.append(values[key])
                del series[:-SAMPLES]
            del self._times[:-SAMPLES]

    def produce_rate(self, topic: str) -> float | None:
        """Return the records a second that a topic gets; None if not known. Transaction markers count."""
        return self._rate(("produced", topic))

    def commit_rate(self, group: str) -> float | None:
        """Return the records a second that a group commits; None if not known."""
        return self._rate(("committed", group))

    def lag_rate(self, group: str) -> float | None:
        """Return the records a second by which a group's lag grows, below 0 if it shrinks; None if not known."""
        return self._rate(("lag", group))

    def catch_up_seconds(self, group: str) -> float | None:
        """Return after how long a group's lag is 0 if it goes on so; None if it does not shrink, or is not known."""
        with self._lock:
            lag = self._newest.get(("lag", group), math.nan)
        if lag == 0:
            return 0.0
        rate = self.lag_rate(group)
        return None if rate is None or rate >= 0 or math.isnan(lag) else round(lag / -rate, 1)

    def produce_rates(self, topic: str) -> list[float | None]:
        """Return a topic's records a second between the samples of the last ten minutes, the oldest first."""
        with self._lock:
            series = self._series.get(("produced", topic), array("d"))
            times = self._times[len(self._times) - len(series) :]
            pairs = zip(zip(times, series, strict=True), zip(times[1:], series[1:], strict=True), strict=False)
            return [_rate(*before, *after) for before, after in pairs]

    def lags(self, group: str) -> list[float | None]:
        """Return a group's lag at the samples of the last ten minutes, the oldest first."""
        with self._lock:
            series = self._series.get(("lag", group), ())
            return [None if math.isnan(value) else value for value in series]

    def _rate(self, key: Key) -> float | None:
        with self._lock:
            series, newest = self._series.get(key), self._newest.get(key)
            if series is None or newest is None:
                return None
            for back in range(1, len(series) + 1):
                if self._newest_at - self._times[-back] >= STEP_SECONDS:
                    first, last = (self._times[-back], series[-back]), (self._newest_at, newest)
                    return _change(*first, *last) if key[0] == "lag" else _rate(*first, *last)
            return None


def _values(snapshot: Snapshot) -> Iterator[tuple[Key, float]]:
    for topic in snapshot.topics[:MOST_SERIES]:
        yield ("produced", topic.name), _number(topic.produced)
    for group in snapshot.groups[:MOST_SERIES]:
        yield ("committed", group.id), _number(group.committed)
        yield ("lag", group.id), _number(group.lag)


def _number(value: int | None) -> float:
    return math.nan if value is None else float(value)


def _rate(began: float, first: float, ended: float, last: float) -> float | None:
    """Return the growth a second. It is None if a value is unknown or shrank: the topic was made anew."""
    return None if last < first else _change(began, first, ended, last)


def _change(began: float, first: float, ended: float, last: float) -> float | None:
    if math.isnan(first) or math.isnan(last) or ended <= began:
        return None
    return round((last - first) / (ended - began), 2)
