"""Keeps what was last known while it is not told: groups by their coordinators, offsets by leaders, and brokers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from status_api.model import ALIVE, GONE, SILENT, UNKNOWN, Broker, Group, Key, Partition, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

FORGET_SECONDS = 15.0
"""A group is gone when all brokers have answered for this long and none lists it. Its move to another coordinator,
which lists it only after it has loaded it, takes less."""

SILENT_SECONDS = 10.0
"""Two heartbeats of the new protocol, whose interval is five seconds unless a broker sets it."""

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


class KnownBrokers:
    """The brokers of one cluster: those that it names, and those that have replicas but are not named."""

    def __init__(self) -> None:
        self._last: dict[int, Broker] = {}

    def update(
        self, named: Iterable[Broker], replicas: AbstractSet[int], silent: Mapping[int | None, Reason], now: datetime
    ) -> tuple[Broker, ...]:
        """Take in the brokers that the cluster names now, and return all, by id.

        `replicas` are the ids of all brokers on which replicas are placed. `silent` are those that did not answer.
        """
        brokers = {
            broker.id: replace(broker, state=SILENT, error=silent[broker.id]) if broker.id in silent else broker
            for broker in named
        }
        for node in replicas - brokers.keys():
            last = self._last.get(node, Broker(node, None, None))
            brokers[node] = replace(last, state=GONE, error="the cluster does not name it: it is down or cut off")
        self._last = {node: self._with_since(broker, now) for node, broker in sorted(brokers.items())}
        return tuple(self._last.values())

    def _with_since(self, broker: Broker, now: datetime) -> Broker:
        last = self._last.get(broker.id)
        if last is not None and last.state == broker.state:
            return replace(broker, since=last.since)
        began = now if last is not None or broker.state != ALIVE else None
        return replace(broker, since=began)


class KnownOffsets:
    """The last offsets of each partition, for those whose leader does not tell them now."""

    def __init__(self) -> None:
        self._last: dict[Key, tuple[int | None, int | None, datetime]] = {}

    def update(self, topics: Mapping[str, Iterable[Partition]], now: datetime) -> dict[str, tuple[Partition, ...]]:
        """Take in the partitions as they were read now, and return them with the last offsets where one is missing."""
        known: dict[Key, tuple[int | None, int | None, datetime]] = {}
        result = {}
        for name, partitions in topics.items():
            rows = []
            for partition in partitions:
                key = (name, partition.number)
                if partition.end is not None:
                    known[key] = (partition.low, partition.end, now)
                elif key in self._last:
                    known[key] = self._last[key]
                    partition = _with_last(partition, *known[key])  # noqa: PLW2901
                rows.append(partition)
            result[name] = tuple(rows)
        self._last = known
        return result


def _with_last(partition: Partition, low: int | None, end: int | None, at: datetime) -> Partition:
    return replace(partition, low=low, end=end, known_at=at)


class SilentMembers:
    """The members of groups of the new protocol that do not answer: their epoch trails the group's.

    A coordinator tells no time of a heartbeat. A member takes in the group's epoch with its next heartbeat, so one that
    does not is slow or dead, long before its session ends.
    """

    def __init__(self) -> None:
        self._trailing: dict[tuple[str, str], tuple[int, datetime]] = {}

    def update(self, groups: Iterable[Group], now: datetime) -> list[Group]:
        """Return the groups with `silent_since` of each member that does not answer."""
        trailing: dict[tuple[str, str], tuple[int, datetime]] = {}
        result = []
        for group in groups:
            if all(member.epoch in (None, group.epoch) for member in group.members):
                result.append(group)
                continue
            members = []
            for member in group.members:
                key = (group.id, member.id)
                since = None
                if member.epoch is not None and member.epoch != group.epoch:
                    epoch, first = self._trailing.get(key, (member.epoch, now))
                    trailing[key] = (member.epoch, first if epoch == member.epoch else now)
                    first = trailing[key][1]
                    since = first if (now - first).total_seconds() >= SILENT_SECONDS else None
                members.append(replace(member, silent_since=since) if since else member)
            result.append(replace(group, members=tuple(members)))
        self._trailing = trailing
        return result
