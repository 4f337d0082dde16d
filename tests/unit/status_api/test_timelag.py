"""The lag in seconds against traces of which the truth is known."""

import math
from bisect import bisect_right
from collections.abc import Callable

import pytest

from status_api.known import KnownGroups
from status_api.marks import Tail, TimeLag, longest
from status_api.model import Group, GroupPartition, Partition
from status_api.rows import with_offsets
from status_api.timelag import CAUGHT_UP, READINGS, TimeLags

KEY = ("t", 0)
READ_SECONDS = 0.25
"""How long the end offsets take to arrive."""


def a_partition(end: int, low: int = 0) -> Partition:
    return Partition(0, 1, (1,), (1,), low=low, end=end)


class Trace:
    """A partition of which it is known when each record was produced, second by second."""

    def __init__(self, produced: Callable[[int], float], records: int) -> None:
        self.times = [produced(offset) for offset in range(records)]
        self.lags = TimeLags()
        self.now = 0.0
        self.end = 0

    def to(self, second: float, tails: dict[tuple[str, int, int], Tail] | None = None) -> None:
        """Take in a snapshot: the end is that of a moment between the question and the answer."""
        self.now = second
        self.end = bisect_right(self.times, second - READ_SECONDS / 2)
        self.lags.add({KEY: a_partition(self.end)}, tails or {}, second - READ_SECONDS, second)

    def lag(self, committed: int) -> TimeLag | None:
        return self.lags.of(KEY, committed, a_partition(self.end))

    def read(self) -> dict[tuple[str, int, int], Tail]:
        """What a look into the log at the wanted places brings."""
        return {place: Tail(True, place[2] + 1, round(self.times[place[2]] * 1000)) for place in self.lags.wanted}


@pytest.mark.parametrize(
    ("produced", "committed"),
    [
        (lambda offset: 0.5 + offset / 10, 153),  # steady
        (lambda offset: 5.0 * (1 + offset // 50), 170),  # bursty
        (lambda offset: 2.0 if offset < 10 else 50.5, 10),  # idle, then a burst
        (lambda offset: 0.5 + offset / 10, 7),  # far behind
    ],
)
def test_the_truth_is_within_the_bound(produced: Callable[[int], float], committed: int) -> None:
    trace = Trace(produced, 300)
    for second in range(61):
        trace.to(second)
    lag = trace.lag(committed)
    assert lag is not None
    assert (lag.method, lag.bound_seconds) == ("interpolated", 1.0 + READ_SECONDS)
    assert abs(lag.seconds - (60 - produced(committed))) <= lag.bound_seconds


def test_a_replay_of_an_old_log_is_known_to_what_it_passes_in_three_snapshots() -> None:
    hours = 3 * 3600
    trace = Trace(float, hours + 100)
    tails: dict[tuple[str, int, int], Tail] = {}
    looks = 0
    for second in range(60):  # a replay a hundred times as fast as the log grew, looked at between two snapshots
        trace.to(hours + second, tails)
        committed = 97 * second
        lag = trace.lag(committed)
        if second >= 3:
            assert lag is not None
            assert abs(lag.seconds - (hours + second - committed)) <= lag.bound_seconds <= 3 * 97
        tails = trace.read()
        looks += len(tails)
    assert looks < 25, "not each snapshot needs a look"


def test_a_commit_older_than_the_table_is_read_once() -> None:
    trace = Trace(float, 1000)
    trace.to(500)
    assert trace.lag(3) is None
    assert trace.lags.wanted == {("t", 0, 3)}
    tails = trace.read()
    for second in (501, 502):
        trace.to(second, tails)
        assert trace.lag(3) == TimeLag(second - 3.0, "record", 0.0)
        assert trace.lags.wanted == set()
        tails = {}


def test_a_record_of_the_future_is_no_negative_lag() -> None:
    trace = Trace(float, 1000)
    trace.to(500, {("t", 0, 3): Tail(True, 4, 900_000)})
    assert trace.lag(3) == TimeLag(0.0, "record", 0.0)


def test_no_record_waits_is_zero_while_the_log_does_not_grow() -> None:
    lags, place = TimeLags(), ("t", 0, 199)
    lags.add({KEY: a_partition(200)}, {place: Tail(False, 200)}, 10.0, 10.1)
    assert lags.of(KEY, 200, a_partition(200)) == CAUGHT_UP
    assert lags.of(KEY, 199, a_partition(200)) == CAUGHT_UP
    assert lags.used == {place}, "it is kept, so that the log is not looked at again"
    lags.add({KEY: a_partition(300)}, {place: Tail(False, 200)}, 15.0, 15.1)
    assert lags.of(KEY, 199, a_partition(300)) == TimeLag(5.1, "interpolated", 5.1), "what came since may be records"


def test_what_is_not_known_is_none() -> None:
    lags = TimeLags()
    lags.add({KEY: a_partition(200)}, {}, 10.0, 10.1)
    assert lags.of(KEY, 300, a_partition(200)) is None, "a topic made anew"
    assert lags.of(KEY, None, a_partition(200)) is None
    assert lags.of(KEY, 5, None) is None


def test_a_topic_made_anew_begins_its_table_anew() -> None:
    lags = TimeLags()
    for end, now in ((100, 10.0), (200, 20.0), (5, 21.0), (9, 22.0)):
        lags.add({KEY: a_partition(end)}, {("t", 0, 2): Tail(True, 3, 4_000)} if end == 100 else {}, now, now)
    assert lags.of(KEY, 5, a_partition(9)) == TimeLag(1.0, "interpolated", 1.0)
    assert lags.of(KEY, 3, a_partition(9)) is None


def test_few_readings_are_kept_and_the_oldest_goes_first() -> None:
    lags = TimeLags()
    lags.add({KEY: a_partition(1000)}, {("t", 0, number): Tail(True, number + 1, 5) for number in range(80)}, 1.0, 1.0)
    known = [number for number in range(80) if lags.of(KEY, number, a_partition(1000)) is not None]
    assert len(known) == READINGS
    assert lags.of(KEY, 79, a_partition(1000)) == TimeLag(0.995, "record", 0.0)


def test_a_group_is_as_late_as_its_latest_partition_and_unknown_with_it() -> None:
    def row(number: int, lag: TimeLag | None, committed: int | None = 1) -> GroupPartition:
        return GroupPartition("t", number, committed, 0, 9, time_lag=lag)

    late, later = TimeLag(4.0, "interpolated", 3.0), TimeLag(6.0, "record", 0.0)
    assert longest([row(0, late), row(1, later), row(2, None, None)]) == TimeLag(6.0, "record", 1.0)
    assert longest([row(0, late), row(1, None)]) is None
    assert longest([]) is None


def test_the_group_of_a_silent_coordinator_keeps_its_lag_in_seconds() -> None:
    trace = Trace(float, 1000)
    for second in range(100):
        trace.to(second)
    told = Group("g", "Stable", coordinator=1, partitions=(GroupPartition("t", 0, 50),))
    known = KnownGroups()
    (group,) = known.update([with_offsets(told, {KEY: a_partition(trace.end)}, trace.lags)], {}, None)
    assert group.time_lag is not None
    assert math.isclose(group.time_lag.seconds, 49, abs_tol=1)
    (silent,) = known.update([], {1: "no answer"}, "broker 1 is silent")
    assert silent.unknown_since is not None
    assert silent.time_lag == group.time_lag
