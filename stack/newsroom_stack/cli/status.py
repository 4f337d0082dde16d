"""What the status API says of groups, for `newsroom top` and `newsroom scale`."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from newsroom.waiting import Deadline
from newsroom_stack.errors import StackError
from newsroom_stack.probes import HTTP_OK, http_get, request_header
from newsroom_stack.settings import status_login

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCE_SECONDS = 20.0
"""The events have a heartbeat each 15 seconds."""
OWNERS_SECONDS = 20.0
"""Longest wait for the snapshot that shows the end of a rebalance."""
PAUSE_SECONDS = 0.3
INTERNAL = ("changelog__", "repartition__")
"""Prefixes of the topics of Quix's state, which go with a member's other partitions."""


@dataclass(frozen=True)
class Assignment:
    """A group's members with their partitions, and what its last rebalance cost."""

    group: str
    state: str
    owners: dict[str, list[str]]
    """The partitions of each member, by the name that tells it from the others."""
    without_owner: dict[str, float]
    """For how many seconds each partition that moved had no owner."""


def ask(url: str, path: str) -> dict[str, Any] | None:
    """Ask the status API; None if it does not answer, or does not have this."""
    try:
        status, text = http_get(f"{url}{path}", status_login())
    except OSError:
        return None
    body: dict[str, Any] | None = json.loads(text) if status == HTTP_OK else None
    return body


def events(url: str, kind: str = "snapshot") -> Iterator[dict[str, Any]]:
    """Follow the events of one kind, until the status API ends.

    Raises:
        OSError: it does not answer, or is silent.
        StackError: it asks for another token.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), SILENCE_SECONDS)
    with closing(connection), connection.makefile("rb") as stream:
        # In HTTP/1.0 an answer without a length has no chunks.
        connection.sendall(request_header("/api/v1/events", {"Host": f"{host}:{port}", **status_login()}))
        if b" 401 " in next(stream, b""):
            raise StackError(
                f"the status API at {url} asks for a token: set NEWSROOM_STATUS_TOKEN as it was at its start"
            )
        name = ""
        for line in stream:
            field, _, value = line.decode().rstrip("\r\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == kind:
                yield json.loads(value)


def assignment(url: str, group_id: str, after_number: int = 0) -> Assignment | None:
    """Return who owns what in a group, with the cost of its rebalances after a number; None if it is not known."""
    path = f"/api/v1/groups/{quote(group_id, safe='')}"
    group, rebalances = ask(url, path), ask(url, f"{path}/rebalances")
    if group is None or rebalances is None:
        return None
    members = group["members"]
    names = [member["instance_id"] or member["client_id"] for member in members]
    owners = {
        name if names.count(name) == 1 else f"{name} {member['id'][-6:]}": _places(member["assignment"])
        for name, member in zip(names, members, strict=True)
    }
    without: dict[str, float] = {}
    for event in rebalances["rebalances"]:
        if event["number"] > after_number:
            for move in event["moves"]:
                place = f"{move['topic']}[{move['partition']}]"
                without[place] = without.get(place, 0.0) + move["seconds_without_owner"]
    return Assignment(group_id, group["state"], dict(sorted(owners.items())), dict(sorted(without.items())))


def last_rebalance(url: str, group_id: str) -> int:
    """Return the number of a group's newest rebalance; 0 if it has none or it is not known."""
    body = ask(url, f"/api/v1/groups/{quote(group_id, safe='')}/rebalances?limit=1")
    return max((event["number"] for event in (body or {}).get("rebalances", ())), default=0)


def after_scaling(url: str, group_id: str, replicas: int, before: int) -> Assignment | None:
    """Wait until a group is stable with this number of members, and return it.

    None is returned if the status API knows no such group, or does not show that in time.
    """
    deadline = Deadline(OWNERS_SECONDS)
    while not deadline.passed():
        result = assignment(url, group_id, before)
        if result is None:
            return None
        if result.state in {"Stable", "Empty"} and len(result.owners) == replicas:
            return result
        time.sleep(min(PAUSE_SECONDS, deadline.left()))
    return None


def assignment_lines(result: Assignment) -> Iterator[str]:
    """Say who owns what, and for how long nobody did."""
    yield f"group {result.group}: {result.state}"
    for name, places in result.owners.items():
        yield f"  {name} owns {', '.join(compact(places)) or 'nothing: there are fewer partitions than members'}"
    for place, seconds in result.without_owner.items():
        yield f"  {place} moved, {seconds:.1f} s without an owner"


def compact(places: list[str]) -> list[str]:
    """Join the partitions of each topic: `news[0]` and `news[1]` become `news[0,1]`."""
    numbers: dict[str, list[str]] = {}
    for place in places:
        topic, _, number = place.rpartition("[")
        numbers.setdefault(topic, []).append(number.rstrip("]"))
    return [f"{topic}[{','.join(parts)}]" for topic, parts in numbers.items()]


def _places(keys: list[list[Any]]) -> list[str]:
    return [f"{topic}[{number}]" for topic, number in sorted(map(tuple, keys)) if not topic.startswith(INTERNAL)]
