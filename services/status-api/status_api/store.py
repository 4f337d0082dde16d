"""The newest snapshot, handed from the collecting thread to the requests."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from status_api.model import Snapshot

STALE_AFTER_INTERVALS = 3
"""One late snapshot is normal; three missing ones are a failure."""

STALE_AT_LEAST_SECONDS = 5.0
"""The election of a leader or controller takes a few seconds, during which the page must stay ready."""


@dataclass(frozen=True)
class Reading:
    """The newest snapshot as a request sees it."""

    snapshot: Snapshot | None
    age_seconds: float | None
    stale: bool
    last_error: str | None
    """Why the last attempt failed; None when it succeeded."""
    last_success: float | None
    """Seconds since the epoch."""
    failures: int


class SnapshotSource(Protocol):
    """The source from which requests get snapshots."""

    def read(self) -> Reading:
        """Return the newest snapshot with its age."""
        ...


class SnapshotStore:
    """Keeps the last good snapshot, however long the cluster is unavailable."""

    def __init__(
        self,
        refresh_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.stale_after_seconds = max(STALE_AFTER_INTERVALS * refresh_seconds, STALE_AT_LEAST_SECONDS)
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._taken = 0.0
        self._last_success: float | None = None
        self._error: str | None = None
        self._failures = 0

    def succeeded(self, snapshot: Snapshot) -> None:
        """Keep a new snapshot."""
        with self._lock:
            self._snapshot, self._error = snapshot, None
            self._taken, self._last_success = self._monotonic(), self._wall()

    def failed(self, reason: str) -> bool:
        """Record a failed attempt; return whether it is the first since a success or the start."""
        with self._lock:
            first = self._error is None
            self._error = reason
            self._failures += 1
            return first

    def read(self) -> Reading:
        """Return the newest snapshot with its age."""
        with self._lock:
            age = None if self._snapshot is None else self._monotonic() - self._taken
            return Reading(
                snapshot=self._snapshot,
                age_seconds=age,
                stale=age is None or age > self.stale_after_seconds,
                last_error=self._error,
                last_success=self._last_success,
                failures=self._failures,
            )
