"""Who owned which partition of a group in the last hour, for the lanes of the page. Uses no Kafka client."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from status_api.model import INTERNAL_PREFIXES, UNKNOWN, Key

if TYPE_CHECKING:
    from datetime import datetime

    from status_api.model import Group, GroupMember, Rebalance, Snapshot

KEEP = timedelta(hours=1)
"""For how long a change of owner is kept."""
MOST_CHANGES = 5000
"""How many changes of owner are kept of one group."""
MOST_LANES = 100
"""How many partitions of one group have a lane."""
MOST_GROUPS = 200
"""How many groups the page offers."""
COLOURS = 10
"""How many colours the style sheet has for owners."""
SHORT_ID = 6


@dataclass(frozen=True)
class Change:
    """A partition that went from owner to owner; None is nobody."""

    at: datetime
    key: Key
    before: str | None
    after: str | None


@dataclass
class _Watch:
    members: tuple[GroupMember, ...]
    owners: dict[Key, str]
    began: datetime
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=MOST_CHANGES))
    colours: dict[str, int] = field(default_factory=dict)
    """The colour of each owner, in the order in which owners came: a member that comes back has its colour again."""


class Ownership:
    """The changes of owner in all groups. One thread calls `update`; any thread may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[str, _Watch] = {}

    def update(self, snapshot: Snapshot) -> None:
        """Take in the groups of a snapshot."""
        with self._lock:
            for group in snapshot.groups:
                if group.state != UNKNOWN and group.error is None:  # what is not known now is no change
                    self._follow(group, snapshot.collected_at)
            for group_id in self._groups.keys() - {group.id for group in snapshot.groups}:
                del self._groups[group_id]

    def _follow(self, group: Group, at: datetime) -> None:
        watch = self._groups.get(group.id)
        if watch is None:
            watch = self._groups[group.id] = _Watch(group.members, _owners(group.members), at)
        elif watch.members != group.members:
            before, after = watch.owners, _owners(group.members)
            watch.members, watch.owners = group.members, after
            for key in sorted(before.keys() | after.keys()):
                if before.get(key) != after.get(key):
                    watch.changes.append(Change(at, key, before.get(key), after.get(key)))
        while watch.changes and at - watch.changes[0].at > KEEP:
            watch.changes.popleft()
        for name in sorted(set(watch.owners.values()) - watch.colours.keys()):
            watch.colours[name] = len(watch.colours) % COLOURS

    def lanes(self, snapshot: Snapshot, group_id: str) -> dict[str, Any]:
        """Return the bands of each partition of a group, times in seconds since the epoch, as JSON values.

        A band is begin, end and owner. It has not ended if its end is None, and nobody owned it if its owner is None.
        """
        with self._lock:
            watch = self._groups.get(group_id)
            changes = tuple(watch.changes) if watch else ()
            owners, colours = (dict(watch.owners), dict(watch.colours)) if watch else ({}, {})
            began = watch.began if watch else snapshot.collected_at
        began = max(began, snapshot.collected_at - KEEP)
        keys = sorted(owners.keys() | {change.key for change in changes} | _committed(snapshot.group(group_id)))
        keys = [key for key in keys if not key[0].startswith(INTERNAL_PREFIXES)]
        bands = {key: _bands(key, changes, owners.get(key), began) for key in keys[:MOST_LANES]}
        named = {owner for lane in bands.values() for *_, owner in lane if owner}
        return {
            "now": snapshot.collected_at.timestamp(),
            "since": began.timestamp(),
            "owners": [
                {"name": name, "colour": colours[name]} for name in sorted(named, key=lambda name: colours[name])
            ],
            "lanes": [{"partition": f"{topic}[{number}]", "bands": lane} for (topic, number), lane in bands.items()],
            "more": len(keys) - len(bands),
            "lines": _lines(snapshot, group_id, began),
        }

    def choices(self, snapshot: Snapshot) -> list[str]:
        """Return the groups that have lanes, those that rebalanced last first."""
        with self._lock:
            known = [group_id for group_id, watch in self._groups.items() if watch.owners or watch.changes]
        last = {event.group: event.number for event in reversed(snapshot.rebalances)}
        shown = [group_id for group_id in known if snapshot.group(group_id) is not None]
        return sorted(shown, key=lambda group_id: (-last.get(group_id, 0), group_id))[:MOST_GROUPS]


def _owners(members: tuple[GroupMember, ...]) -> dict[Key, str]:
    names = owner_names(members)
    return {key: names[member.id] for member in members for key in member.assignment}


def owner_names(members: tuple[GroupMember, ...]) -> dict[str, str]:
    """Return a name for each member, by its id: its instance id, or its client id.

    Members that have the same name are told apart by the last characters of their ids.
    """
    names = {member.id: member.instance_id or member.client_id for member in members}
    number = Counter(names.values())
    return {id_: name if number[name] == 1 else f"{name} …{id_[-SHORT_ID:]}" for id_, name in names.items()}


def _committed(group: Group | None) -> set[Key]:
    return {(row.topic, row.partition) for row in group.partitions if not row.gone} if group else set()


def _bands(
    key: Key, changes: tuple[Change, ...], owner: str | None, began: datetime
) -> list[tuple[float, float | None, str | None]]:
    """Return a partition's bands, the oldest first."""
    bands: list[tuple[float, float | None, str | None]] = []
    end: float | None = None
    for change in reversed(changes):
        if change.key == key:
            bands.append((change.at.timestamp(), end, change.after))
            end, owner = change.at.timestamp(), change.before
    bands.append((began.timestamp(), end, owner))
    return bands[::-1]


def _lines(snapshot: Snapshot, group_id: str, began: datetime) -> list[tuple[float, str]]:
    """Return when a generation began, and its number: the group's epoch if Kafka tells it, else the rebalance's."""
    events = [event for event in snapshot.rebalances if event.group == group_id and event.began >= began]
    return [(_moment(event), label_of(event)) for event in reversed(events)]


def _moment(event: Rebalance) -> float:
    return (event.ended or event.began).timestamp()


def label_of(event: Rebalance) -> str:
    """Return the name of the generation that a rebalance began."""
    return f"#{event.number}" if event.epoch is None else f"epoch {event.epoch}"
