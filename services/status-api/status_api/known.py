"""Keeps what was last known of each consumer group while its coordinator does not tell it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from status_api.model import UNKNOWN, Group, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FORGET_SECONDS = 15.0
"""A group is gone when all brokers have answered for this long and none lists it. Its move to another coordinator,
which lists it only after it has loaded it, takes less."""

NOBODY_LISTS = "no broker lists the group now"


@dataclass
class _Seen:
    group: Group
    at: datetime
    unlisted_since: float | None = None
    """Since when all brokers answer and none of them lists the group."""


class KnownGroups:
    """The groups of one cluster: those read now, and those that are not known now with their last values."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}

    def update(
        self, groups: Iterable[Group], silent: Mapping[int | None, Reason], missing: Reason | None
    ) -> list[Group]:
        """Take in the groups that were read now, and return all that are known, by id.

        `silent` are the brokers that did not answer, and why. `missing` is the reason why groups may be missing.
        """
        now = {group.id: group for group in groups}
        for group in now.values():
            seen = self._seen.get(group.id)
            if seen is None or _unread(seen.group) or not _unread(group):
                self._seen[group.id] = _Seen(group, datetime.now(UTC))
        for group_id in self._seen.keys() - now.keys():
            if self._is_gone(self._seen[group_id], missing):
                del self._seen[group_id]
        everyone = sorted(self._seen.items())
        return [self._current(now.get(group_id), seen, silent, missing) for group_id, seen in everyone]

    def _is_gone(self, seen: _Seen, missing: Reason | None) -> bool:
        if missing is not None:
            seen.unlisted_since = None
            return False
        if seen.unlisted_since is None:
            seen.unlisted_since = self._monotonic()
        return self._monotonic() - seen.unlisted_since >= FORGET_SECONDS

    @staticmethod
    def _current(
        group: Group | None, seen: _Seen, silent: Mapping[int | None, Reason], missing: Reason | None
    ) -> Group:
        if group is seen.group:
            return group
        why = group.error if group is not None else silent.get(seen.group.coordinator, missing or NOBODY_LISTS)
        since = f"{seen.at:%H:%M:%S} UTC"
        return replace(seen.group, state=UNKNOWN, error=f"not known since {since}: {why}", unknown_since=seen.at)


def _unread(group: Group) -> bool:
    """Whether the coordinator listed the group, but did not describe it or return its commits."""
    return group.error is not None and (group.state == UNKNOWN or not group.partitions)
