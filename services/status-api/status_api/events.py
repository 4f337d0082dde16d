"""What readers of `/api/v1/events` are sent: an event for each snapshot and each change of a rebalance.

The events are kept in a ring, so that a reader who comes back with the id of its last event misses none. The worker
holds the connections (`status_api.streams`); no thread waits for a reader.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from flask import Response, abort, current_app, request

from status_api.api import blueprint
from status_api.bodies import iso, rebalance_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from status_api.history import History
    from status_api.model import Rebalance, Snapshot

KEPT = 600
"""How many events can be resumed from: ten minutes of snapshots."""
MOST_NAMES = 100
"""How many topics and how many groups a snapshot's event has figures of."""
MOST_STREAMS = 300
"""How many readers may follow at once. The worker keeps its other connections for requests."""
MOST_DIGITS = 18
RETRY_MS = 1000
"""After how long a browser connects again."""


@dataclass(frozen=True)
class Event:
    """An event with its number, which grows by one, and its text as it is sent."""

    number: int
    data: bytes


class Feed:
    """The ring of events. The collecting thread calls `publish`; any thread may read."""

    def __init__(self, history: History, run: str | None = None) -> None:
        self._history = history
        self._run = run or secrets.token_hex(4)
        """Part of every id: after a restart the numbers start again."""
        self._lock = threading.Lock()
        self._ring: deque[Event] = deque(maxlen=KEPT)
        self._number = 0
        self._rebalances: tuple[Rebalance, ...] | None = None
        self.followers = 0
        """How many readers follow now. The worker keeps it up to date."""
        self.wake: Callable[[], None] | None = None
        """What is called, by the collecting thread, when there are new events."""

    def publish(self, snapshot: Snapshot) -> None:
        """Add the events of a new snapshot: its figures, and each rebalance that began, went on or ended."""
        shown = snapshot.visible(internal=False)
        with self._lock:
            for rebalance in self._changed(shown.rebalances):
                self._add("rebalance", rebalance_json(rebalance))
            self._add("snapshot", self._figures(shown))
        if self.wake is not None:
            self.wake()

    def _changed(self, rebalances: tuple[Rebalance, ...]) -> list[Rebalance]:
        """The rebalances that differ from the last snapshot's, oldest first; none at the first snapshot."""
        before, self._rebalances = self._rebalances, rebalances
        if before is None:
            return []
        known = {rebalance.number: rebalance for rebalance in before}
        return [rebalance for rebalance in reversed(rebalances) if known.get(rebalance.number) is not rebalance]

    def _figures(self, snapshot: Snapshot) -> dict[str, Any]:
        return {
            "snapshot_id": snapshot.id,
            "collected_at": iso(snapshot.collected_at),
            "produced_per_second": {
                topic.name: self._history.produce_rate(topic.name) for topic in snapshot.topics[:MOST_NAMES]
            },
            "consumed_per_second": {
                group.id: self._history.commit_rate(group.id) for group in snapshot.groups[:MOST_NAMES]
            },
            "lag": {group.id: group.lag for group in snapshot.groups[:MOST_NAMES]},
        }

    def _add(self, kind: str, body: dict[str, Any]) -> None:
        self._number += 1
        text = f"id: {self._run}-{self._number}\nevent: {kind}\ndata: {json.dumps(body)}\n\n"
        self._ring.append(Event(self._number, text.encode()))

    def start(self, last_id: str | None) -> tuple[bytes, int]:
        """Return what a new reader is sent first, and the number of the last event that it then has.

        A reader without an id gets the newest event. One whose next event is no longer kept, or comes from before a
        restart, gets an event `gap` before the newest one, because it may have missed some.
        """
        run, _, digits = (last_id or "").rpartition("-")
        number = int(digits) if digits.isdecimal() and len(digits) <= MOST_DIGITS else -1
        with self._lock:
            oldest = self._ring[0].number if self._ring else self._number + 1
            if run == self._run and oldest - 1 <= number <= self._number:
                return b"", number
            gap = f"event: gap\ndata: {json.dumps({'after': last_id})}\n\n" if last_id else ""
            return gap.encode(), max(self._number - 1, 0)

    def after(self, number: int) -> tuple[bytes, int]:
        """Return the events after this number as they are sent, and the number of the last one."""
        with self._lock:
            newer = list(takewhile(lambda event: event.number > number, reversed(self._ring)))
        return b"".join(event.data for event in reversed(newer)), newer[0].number if newer else number


@blueprint.get("/events")
def events() -> Response:
    """Answer with Server-Sent Events that do not end; `Last-Event-ID` says where to go on."""
    feed: Feed = current_app.extensions["feed"]
    follow = getattr(request.environ.get("gunicorn.socket"), "follow", None)
    if follow is None:
        abort(503, "This server does not send events: start the service as `status-api`.")
    if feed.followers >= MOST_STREAMS:
        abort(503, f"{feed.followers} readers follow the events already; ask again later, or ask for /api/v1/cluster.")
    first, number = feed.start(request.headers.get("Last-Event-ID"))
    if request.method == "GET":
        follow(feed, number)
    # An iterator has no length, so that the answer may go on.
    response = Response(iter((f"retry: {RETRY_MS}\n\n".encode(), first)), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response
