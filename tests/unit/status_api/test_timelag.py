"""The lag in seconds against traces of which the truth is known."""

from collections import deque
from collections.abc import Callable

import pytest

from status_api.model import Group, GroupPartition, Partition, Tail, TimeLag
from status_api.timelag import TimeLags, add_point, time_lag

Produced = Callable[[int], float]
"""When the record at an offset was produced."""


def trace(produced: Produced, records: int, committed: int, seconds: int) -> tuple[TimeLag | None, float]:
    """Return the lag after so many snapshots of a second each, and the true one."""
    lags = TimeLags()
    for now in range(seconds + 1):
        end = sum(produced(offset) <= now for offset in range(records))
        lags.add({("t", 0): Partition(0, 1, (1,), (1,), low=0, end=end)}, now)
    (group,) = lags.with_seconds([Group("g", partitions=(GroupPartition("t", 0, committed, 0, end),))], seconds)
    return group.partitions[0].time_lag, seconds - produced(committed)


@pytest.mark.parametrize(
    ("produced", "committed"),
    [
        (lambda offset: 0.5 + offset / 10, 153),  # steady
        (lambda offset: 5.0 * (1 + offset // 50), 170),  # bursty
        (lambda offset: 2.0 if offset < 10 else 50.5, 10),  # idle, then a burst
        (lambda offset: 0.5 + offset / 10, 7),  # replay from the start
    ],
)
def test_the_truth_is_within_the_bound(produced: Produced, committed: int) -> None:
    lag, truth = trace(produced, 300, committed, 60)
    assert lag is not None
    assert lag.method == "interpolated"
    assert lag.bound_seconds == 1.0
    assert abs(lag.seconds - truth) <= lag.bound_seconds


def row(committed: int, end: int, tail: Tail | None = None) -> GroupPartition:
    return GroupPartition("t", 0, committed, 0, end, tail=tail)


def test_outside_of_the_table_only_the_record_tells() -> None:
    points = deque([(100, 10.0, 10.0), (200, 20.0, 20.0)])
    assert time_lag(row(50, 200), points, 20.0) is None
    assert time_lag(row(50, 200, Tail(True, 51, 4_000)), points, 20.0) == TimeLag(16.0, "record", 0.0)
    assert time_lag(row(50, 200, Tail(True, 51, 30_000)), points, 20.0) == TimeLag(0.0, "record", 0.0)


def test_no_record_waits_is_zero_and_an_unknown_lag_is_none() -> None:
    assert time_lag(row(200, 200), deque(), 20.0) == TimeLag(0.0, "caught_up", 0.0)
    assert time_lag(row(199, 200, Tail(False, 200)), deque(), 20.0) == TimeLag(0.0, "caught_up", 0.0)
    assert time_lag(row(300, 200), deque([(100, 10.0, 10.0), (200, 20.0, 20.0)]), 20.0) is None


def test_a_recreated_topic_begins_anew() -> None:
    points = deque([(100, 10.0, 10.0), (200, 20.0, 20.0)])
    add_point(points, 5, 21.0)
    assert list(points) == [(5, 21.0, 21.0)]
