"""The rules that say what is wrong with a group, each with the numbers that it looked at.

A rule waits until it can know: a group that rebalances is not judged by its commits, a new one not by a gap that is
not known yet. `status_api.progress` has the rule for a consumer that has stopped.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from statistics import linear_regression
from typing import TYPE_CHECKING

from status_api.marks import AT_RISK, DATA_LOSS, FALLING_BEHIND, NEVER_COMMITTED, REBALANCING, SETTLED, UNOWNED, Finding
from status_api.model import INTERNAL_PREFIXES
from status_api.progress import replace_rows
from status_api.sums import sum_of_lags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from status_api.model import Group, GroupPartition, Key

UNOWNED_SECONDS = 15.0
"""For how long a partition may have no owner while the group owns others of its topic."""
UNCOMMITTED_SECONDS = 60.0
"""How long an owner may take to commit for the first time once records have come."""
REBALANCING_SECONDS = 60.0
"""How long a rebalance may take."""
RISK_SHARE = 0.8
"""A record that has waited for this share of the retention is about to be lost."""
STEP_SECONDS = 5.0
WINDOW = 12
"""Lags that are looked at to see whether a group falls behind: each after a commit, because the lag of one that commits
once a minute grows for a minute, and five seconds apart."""
LATE_SECONDS = 15.0
"""A group whose lag is shorter does not fall behind: it reads in batches."""

Lags = deque[tuple[float, int]]


@dataclass
class _Watch:
    """What is remembered of a group."""

    rebalancing_since: float | None = None
    unowned: dict[Key, float] = field(default_factory=dict)
    """Since when a partition has no owner."""
    uncommitted: dict[Key, tuple[int, float | None]] = field(default_factory=dict)
    """The end of an owned partition without a commit when it was first seen, and since when it has grown."""
    lags: Lags = field(default_factory=lambda: deque(maxlen=WINDOW))
    committed: int | None = None
    """The sum of the commits at the last of them."""
    growing: Finding | None = None
    """What the lags said last."""


class Judge:
    """Follows all groups, and says what is wrong with each."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._watches: dict[str, _Watch] = {}

    def update(self, groups: Iterable[Group], retentions: Mapping[str, float]) -> list[Group]:
        """Return the groups with what was found. `retentions` are the seconds for which topics keep records."""
        now = self._monotonic()
        watches: dict[str, _Watch] = {}
        result = []
        for group in groups:
            watch = watches[group.id] = self._watches.get(group.id) or _Watch()
            result.append(group if group.unknown_since else _judged(group, watch, retentions, now))
        self._watches = watches
        return result


def _judged(group: Group, watch: _Watch, retentions: Mapping[str, float], now: float) -> Group:
    settled = group.state in SETTLED
    owned = {row.topic for row in group.partitions if row.member_id is not None} if settled else set()
    unowned: dict[Key, float] = {}
    uncommitted: dict[Key, tuple[int, float | None]] = {}
    rows = []
    for row in group.partitions:
        key = (row.topic, row.partition)
        if row.member_id is None and row.topic in owned and row.lag != 0 and not row.gone:
            unowned[key] = watch.unowned.get(key, now)
        elif row.member_id is not None and row.committed is None and row.end is not None and not row.commit_unknown:
            first, since = watch.uncommitted.get(key, (row.end, None))
            uncommitted[key] = (first, since if since is not None or row.end <= first else now)
        lost = row.committed is not None and row.low is not None and row.committed < row.low
        if lost or key in unowned or key in uncommitted or row.time_lag is not None:
            rows.append(_with_finding(row, unowned.get(key), uncommitted.get(key), retentions, now))
        else:
            rows.append(row)
    watch.unowned, watch.uncommitted = unowned, uncommitted
    finding = _of_the_whole(group, watch, now)
    group = replace_rows(group, tuple(rows))
    return group if finding == group.finding else replace(group, finding=finding)


def _with_finding(
    row: GroupPartition,
    unowned_since: float | None,
    uncommitted: tuple[int, float | None] | None,
    retentions: Mapping[str, float],
    now: float,
) -> GroupPartition:
    finding = row.finding
    if row.committed is not None and row.low is not None and row.committed < row.low:
        lost = row.low - row.committed
        finding = Finding(DATA_LOSS, f"Up to {lost} records were deleted before the group read them", lost)
    elif finding is not None:
        return row  # it has stopped
    elif unowned_since is not None and now - unowned_since >= UNOWNED_SECONDS:
        seconds = now - unowned_since
        text = f"No owner for {seconds:.0f} s although the group owns other partitions of the topic"
        finding = Finding(UNOWNED, text, seconds, UNOWNED_SECONDS)
    elif uncommitted is not None and uncommitted[1] is not None and now - uncommitted[1] >= UNCOMMITTED_SECONDS:
        seconds = now - uncommitted[1]
        text = f"No commit ever, {seconds:.0f} s after records have come"
        finding = Finding(NEVER_COMMITTED, text, seconds, UNCOMMITTED_SECONDS)
    elif row.time_lag is not None:
        finding = _risk(row.time_lag.seconds, retentions.get(row.topic))
    return row if finding is None else replace(row, finding=finding)


def _risk(seconds: float, retention: float | None) -> Finding | None:
    if retention is None or retention <= 0 or seconds < RISK_SHARE * retention:
        return None
    share = seconds / retention
    text = f"The first unread record has waited {seconds:.0f} s, {share:.0%} of the retention of {retention:.0f} s"
    return Finding(AT_RISK, text, round(share, 3), RISK_SHARE)


def _of_the_whole(group: Group, watch: _Watch, now: float) -> Finding | None:
    if group.state not in SETTLED:
        watch.lags.clear()
        watch.growing = None
        if watch.rebalancing_since is None:
            watch.rebalancing_since = now
        seconds = now - watch.rebalancing_since
        if not group.members or seconds < REBALANCING_SECONDS:
            return None
        return Finding(REBALANCING, f"The group has rebalanced for {seconds:.0f} s", seconds, REBALANCING_SECONDS)
    watch.rebalancing_since = None
    if (watch.lags and now - watch.lags[-1][0] < STEP_SECONDS) or group.committed == watch.committed:
        return watch.growing
    watch.committed = group.committed
    watch.growing = None
    lag = sum_of_lags(row for row in group.partitions if not row.topic.startswith(INTERNAL_PREFIXES))
    if lag is None:
        watch.lags.clear()
        return None
    watch.lags.append((now, lag))
    late = group.time_lag is not None and group.time_lag.seconds >= LATE_SECONDS
    watch.growing = falling_behind(watch.lags) if late and group.members else None
    return watch.growing


def falling_behind(lags: Lags) -> Finding | None:
    """Return the finding for a group whose lag grows: each newer one of the window is above each older one.

    A group that reads in batches goes down between, and one that has just been given much to read goes up once.
    """
    if len(lags) < WINDOW:
        return None
    values = [lag for _, lag in lags]
    older, newer = values[: WINDOW // 2], values[WINDOW // 2 :]
    slope = linear_regression([at for at, _ in lags], values).slope
    if min(older) == 0 or min(newer) <= max(older) or max(newer) != newer[-1] or slope <= 0:
        return None
    seconds = lags[-1][0] - lags[0][0]
    text = f"The lag grows by {slope:.1f} records a second, from {values[0]} to {values[-1]} in {seconds:.0f} s"
    return Finding(FALLING_BEHIND, text, round(slope, 2), 0.0)
