"""Turns what is seen of the groups, snapshot by snapshot, into rebalances: who came and went, and what moved.

A rebalance that begins and ends between two snapshots is seen by what it left: other members, or other owners. Times
are as exact as the snapshots are close.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from status_api.marks import SETTLED
from status_api.model import NO_REBALANCES, UNKNOWN, Group, Key, Move, Rebalance, RebalanceTotals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST = 10_000
"""How many rebalances are kept."""
KEEP = timedelta(hours=24)
"""For how long they are kept."""


@dataclass
class _Open:
    """A rebalance that has not ended."""

    rebalance: Rebalance
    owners: dict[Key, str]
    """The owners before it."""
    without_owner: dict[Key, float] = field(default_factory=dict)
    """For how many seconds a partition had no owner."""


@dataclass
class _Watch:
    group: Group
    at: datetime
    open: _Open | None = None


class RebalanceLog:
    """The rebalances of all groups. One thread calls `update`; the tuple that it returns does not change."""

    def __init__(self) -> None:
        self._groups: dict[str, _Watch] = {}
        self._past: deque[Rebalance] = deque(maxlen=MOST)
        self._number = 0
        self._recent: tuple[Rebalance, ...] = ()
        self.totals: Mapping[str, RebalanceTotals] = {}
        """The sums of each group's rebalances that have ended. A change makes a new mapping."""
        self._complete = False
        """Whether every group was listed once: one that is listed later is new, and its members have joined."""
        self._unread: set[str] = set()
        """Groups that were listed and not described yet."""

    def update(self, groups: Iterable[Group], at: datetime, *, complete: bool = True) -> tuple[Rebalance, ...]:
        """Take in the groups of a snapshot, and return the rebalances that are kept, newest first.

        `complete` says whether every broker has listed its groups.
        """
        changed = False
        alive = set()
        for group in groups:
            alive.add(group.id)
            watch = self._groups.get(group.id)
            if group.state == UNKNOWN or group.error is not None:
                if watch is None:
                    self._unread.add(group.id)
                continue  # what is not known now is no change
            if watch is None:
                new = self._complete and group.id not in self._unread
                watch = self._groups[group.id] = _Watch(replace(group, members=()) if new else group, at)
                if not new:
                    continue
            changed |= self._follow(watch, group, at)
        for group_id in self._groups.keys() - alive:
            del self._groups[group_id]
        self._unread = (self._unread & alive) - self._groups.keys()
        self._complete |= complete
        if not self.totals.keys() <= alive:
            self.totals = {group_id: total for group_id, total in self.totals.items() if group_id in alive}
        while self._past and at - (self._past[0].ended or at) > KEEP:
            self._past.popleft()
            changed = True
        if changed:
            running = [watch.open.rebalance for watch in self._groups.values() if watch.open]
            kept = [*running, *reversed(self._past)]
            self._recent = tuple(sorted(kept, key=lambda rebalance: -rebalance.number)[:MOST])
        return self._recent

    def _follow(self, watch: _Watch, group: Group, at: datetime) -> bool:
        """Compare a group with what was last seen of it; return whether a rebalance began, went on or ended."""
        before, seconds = watch.group, (at - watch.at).total_seconds()
        watch.group, watch.at = group, at
        same = group.members == before.members and group.epoch == before.epoch
        if same and group.state in SETTLED and watch.open is None:
            return False
        if watch.open is None:
            self._number += 1
            watch.open = _Open(Rebalance(self._number, group.id, at), _owners(before))
        _note(watch.open, before, group, seconds)
        if group.state in SETTLED:
            ended, unowned = _ended(watch.open, group, at), sum(watch.open.without_owner.values())
            watch.open = None
            if ended.joined or ended.left or ended.moves or ended.epoch is not None or seconds_of(ended):
                self._past.append(ended)
                self._count(ended, unowned)
        return True

    def _count(self, ended: Rebalance, unowned: float) -> None:
        total = self.totals.get(ended.group, NO_REBALANCES)
        moves, seconds = total.moves + len(ended.moves), total.seconds_without_owner + unowned
        self.totals = {**self.totals, ended.group: RebalanceTotals(total.rebalances + 1, moves, round(seconds, 3))}


def seconds_of(rebalance: Rebalance) -> float | None:
    """Return how long a rebalance took; None if it has not ended."""
    return None if rebalance.ended is None else (rebalance.ended - rebalance.began).total_seconds()


def _owners(group: Group) -> dict[Key, str]:
    return {key: member.id for member in group.members for key in member.assignment}


def _note(running: _Open, before: Group, group: Group, seconds: float) -> None:
    """Add what has changed since the last snapshot."""
    old = {member.id: member.client_id for member in before.members}
    new = {member.id: member.client_id for member in group.members}
    rebalance = running.rebalance
    joined = {member: name for member, name in new.items() if member not in old}
    left = {member: name for member, name in old.items() if member not in new}
    epoch = group.epoch if group.epoch != before.epoch else rebalance.epoch
    members = rebalance.members | old | new
    running.rebalance = replace(
        rebalance,
        joined=(*rebalance.joined, *joined),
        left=(*rebalance.left, *left),
        epoch=epoch,
        members=members,
    )
    owned = _owners(group)
    for key in running.owners:
        if key not in owned:
            running.without_owner[key] = running.without_owner.get(key, 0.0) + seconds


def _ended(running: _Open, group: Group, at: datetime) -> Rebalance:
    after = _owners(group)
    moves = tuple(
        Move(*key, running.owners.get(key), after.get(key), round(running.without_owner.get(key, 0.0), 3))
        for key in sorted(running.owners.keys() | after.keys())
        if running.owners.get(key) != after.get(key)
    )
    return replace(running.rebalance, ended=at, moves=moves, cause=_cause(running.rebalance, moves))


def _cause(rebalance: Rebalance, moves: tuple[Move, ...]) -> str | None:
    """Return why the group rebalanced, as far as its members and partitions tell."""
    causes = []
    if rebalance.joined:
        causes.append("a member joined" if len(rebalance.joined) == 1 else f"{len(rebalance.joined)} members joined")
    if rebalance.left:
        number = len(rebalance.left)
        causes.append("a member left or fell silent" if number == 1 else f"{number} members left or fell silent")
    if not causes and any(move.before is None for move in moves):
        causes.append("partitions came or were free")
    return ", ".join(causes) or None
