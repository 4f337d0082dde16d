"""Ends a process whose loop hangs, or that cannot close its Kafka clients.

A replica that hangs holds its partitions' work up and is never started again: neither a supervisor nor Docker starts
again what still runs. With exactly-once a hard end is safe at any instant: what is not committed is read again.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from newsroom.health import Health

log = get_logger(__name__)

CLOSE_SECONDS = 20.0
"""Closing takes a second. After an outage of the brokers Quix's and librdkafka's close have been seen to wait for ever;
Quix's own budget for the last commit is 12 s."""

LOOK_SECONDS = 0.5


class Watchdog:
    """Watches from its beginning to its end as a context manager; `closing` says that the loop is being left."""

    def __init__(
        self, health: Health, end: Callable[[], None] | None = None, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._health = health
        self._end = end or _end_process
        self._close_seconds = close_seconds
        self._closing_since: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._health.tick()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def closing(self) -> None:
        """The loop is being left: from now on it need not turn, but must have closed in time."""
        if self._closing_since is None:
            self._closing_since = time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            why = self._wrong()
            if why is not None:
                sentence = f"{why}: ended by force, nothing of the open transaction is committed, start it again"
                log.error(sentence)
                self._end()
                return

    def _wrong(self) -> str | None:
        if self._closing_since is not None:
            late = time.monotonic() - self._closing_since > self._close_seconds
            return f"the Kafka clients did not close within {self._close_seconds:g} s" if late else None
        alive, details = self._health.alive()
        return None if alive else f"the loop has not turned for {details['loop_age_seconds']} s"


def _end_process() -> None:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1)
