"""Tells a consumer that has stopped from one that is merely behind, and records from what looks like them.

An offset is not a record: transaction markers and open transactions stand between a commit and the end, and a stream
that has read everything seems to be behind for ever. So a commit that does not move is trouble only if a record waits
there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from status_api.marks import SETTLED, STOPPED, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from status_api.marks import Tail
    from status_api.model import Group, GroupPartition, Key

LOOK_SECONDS = 5.0
"""After how long without a commit the log is looked at."""
STALL_SECONDS = 15.0
"""The shortest time without a commit that is trouble."""
STALL_GAPS = 3
"""It is trouble after so many times the usual time between two commits of the partition."""
FRESH_SECONDS = 180.0
"""The time for a partition of which too few commits were seen to know what is usual: three times that of Connect, which
commits once a minute."""
SPARSE_SECONDS = 60.0
"""The longest time between two commits that counts as usual although no record waited in a part of it."""
GAPS = 5
FEW_GAPS = 2
Place = tuple[str, int, int]
"""A topic, a partition and an offset in it."""


@dataclass(slots=True)
class _Commit:
    offset: int
    moved_at: float
    changed_at: float = 0.0
    """When it was last another offset. `moved_at` is later if no record has waited since."""
    gaps: tuple[float, ...] = ()
    """For how long a record had waited before each commit."""
    shortest: float = SPARSE_SECONDS
    """The shortest time between two commits."""

    @property
    def usual(self) -> float:
        """The usual time between two commits. One that commits once a minute may do so just after a record came."""
        return max(median(self.gaps), self.shortest) if self.gaps else 0.0

    @property
    def patience(self) -> float:
        least = FRESH_SECONDS if len(self.gaps) < FEW_GAPS else STALL_SECONDS
        return max(least, STALL_GAPS * self.usual)


class Progress:
    """Follows the commits of all groups."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._commits: dict[tuple[str, Key], _Commit] = {}
        self.wanted: set[Place] = set()
        """Where it must be known whether a record waits."""

    def update(self, groups: Iterable[Group], tails: Mapping[Place, Tail]) -> list[Group]:
        """Return the groups with what is known of each commit that does not move. `tails` is what the log has there."""
        now = self._monotonic()
        commits: dict[tuple[str, Key], _Commit] = {}
        self.wanted = set()
        result = [
            replace_rows(group, tuple(self._row(group, row, tails, now, commits) for row in group.partitions))
            for group in groups
        ]
        self._commits = commits
        return result

    def _row(
        self,
        group: Group,
        row: GroupPartition,
        tails: Mapping[Place, Tail],
        now: float,
        commits: dict[tuple[str, Key], _Commit],
    ) -> GroupPartition:
        if row.committed is None:
            return row
        key = (group.id, (row.topic, row.partition))
        commit = commits[key] = self._commits.get(key) or _Commit(row.committed, now, now)
        if commit.offset != row.committed:
            commit.gaps = (*commit.gaps, now - commit.moved_at)[-GAPS:]
            if len(commit.gaps) > 1:  # the first change has no beginning that is known
                commit.shortest = min(commit.shortest, now - commit.changed_at)
            commit.offset, commit.moved_at, commit.changed_at = row.committed, now, now
        if not row.lag or group.state not in SETTLED:
            commit.moved_at = now  # nothing to do, or nobody who could
            return row
        quiet = now - commit.moved_at
        if quiet < LOOK_SECONDS:
            return row
        place = (row.topic, row.partition, max(row.committed, row.low or 0))
        tail = tails.get(place)
        if tail is None or (not tail.waits and tail.end < (row.end or 0)):
            self.wanted.add(place)
        if tail is None:
            return row
        if not tail.waits or quiet < commit.patience:
            return replace(row, tail=tail)
        seconds = round(quiet, 1)
        text = f"No commit for {seconds:.0f} s although records wait"
        finding = Finding(STOPPED, text, seconds, round(commit.patience, 1))
        return replace(row, tail=tail, stalled_seconds=seconds, finding=finding)


def replace_rows(group: Group, rows: tuple[GroupPartition, ...]) -> Group:
    """Return the group with these rows; the group itself if they are its own."""
    return (
        group
        if all(new is old for new, old in zip(rows, group.partitions, strict=True))
        else replace(group, partitions=rows)
    )
