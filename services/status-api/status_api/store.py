"""The newest snapshot, handed from the collecting thread to the requests."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from status_api.model import Snapshot

log = get_logger(__name__)

STALE_AFTER_INTERVALS = 3
"""One late snapshot is normal; three missing ones are a failure."""

LATE_SECONDS = 1.0
"""A snapshot that is due for longer is late, and the page no longer calls itself live."""

STALE_AT_LEAST_SECONDS = 5.0
"""The election of a leader or controller takes a few seconds, during which the page must stay ready."""


@dataclass(frozen=True)
class LatestSnapshot:
    """The newest snapshot as a request sees it."""

    snapshot: Snapshot | None = None
    age_seconds: float | None = None
    late: bool = True
    """Whether the next snapshot should have come by now."""
    stale: bool = True
    last_error: str | None = None
    """Why the last attempt failed; None when it succeeded."""
    last_success: float | None = None
    """Seconds since the epoch."""
    failures: int = 0

    @property
    def version(self) -> str | None:
        """What changes whenever a reader is shown something else, the age apart; None before the first snapshot."""
        if self.snapshot is None:
            return None
        shown = f"{self.late}{self.stale}{self.last_error}".encode()
        return f"{self.snapshot.id}-{zlib.crc32(shown):08x}"


class SnapshotStore:
    """Keeps the last good snapshot, however long the cluster is unavailable. One thread writes, any thread reads."""

    def __init__(
        self,
        refresh_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.stale_after_seconds = max(STALE_AFTER_INTERVALS * refresh_seconds, STALE_AT_LEAST_SECONDS)
        self.late_after_seconds = refresh_seconds + LATE_SECONDS
        self._monotonic = monotonic
        self._wall = wall
        self._newest = LatestSnapshot(), 0.0
        """The newest snapshot, and when it was taken: one value, so that readers need no lock."""
        self._take_in: Callable[[Snapshot], None] = _nothing
        self._tell: Callable[[Snapshot], None] = _nothing

    def watch(self, take_in: Callable[[Snapshot], None], tell: Callable[[Snapshot], None]) -> None:
        """Call two functions with each snapshot, in the thread that has taken it: before readers see it, and after."""
        self._take_in, self._tell = take_in, tell

    def succeeded(self, snapshot: Snapshot) -> None:
        """Keep a new snapshot."""
        _guarded(self._take_in, snapshot)
        latest, _ = self._newest
        latest = replace(latest, snapshot=snapshot, last_error=None, last_success=self._wall())
        self._newest = latest, self._monotonic()
        _guarded(self._tell, snapshot)

    def failed(self, reason: str) -> None:
        """Record a failed attempt."""
        latest, taken_at = self._newest
        self._newest = replace(latest, last_error=reason, failures=latest.failures + 1), taken_at

    def read(self) -> LatestSnapshot:
        """Return the newest snapshot with its age."""
        latest, taken_at = self._newest
        if latest.snapshot is None:
            return latest
        age = self._monotonic() - taken_at
        late, stale = age > self.late_after_seconds, age > self.stale_after_seconds
        return replace(latest, age_seconds=age, late=late, stale=stale)


def _nothing(_: Snapshot) -> None:
    """Take no notice."""


def _guarded(watcher: Callable[[Snapshot], None], snapshot: Snapshot) -> None:
    try:
        watcher(snapshot)
    except Exception:
        # If this ended the thread, no further snapshot would be taken.
        log.exception("a part of the status API could not take in a snapshot")
