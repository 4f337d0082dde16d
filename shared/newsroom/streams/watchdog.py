"""Ends a process whose loop hangs, or that cannot close its Kafka clients.

A replica that hangs holds its partitions' work up and is never started again: neither a supervisor nor Docker starts
again what still runs. With exactly-once a hard end is safe at any instant: what is not committed is read again.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import socket
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

CLOSE_SECONDS = 8.0
"""Closing takes a second. In an outage of the brokers Quix's flush waits for a minute, its last commit for 12 s, and
librdkafka's close has been seen to wait for ever. A stop takes ten seconds at the most, and the stack kills a service
after nine: one that ends by itself still says why."""

LOOK_SECONDS = 0.5

END_SECONDS = 1.0
"""The thread ends at once when it is told to, unless it is just ending the process. Also how long the last line may
take: output that nobody reads may be what the loop hangs in."""

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})

STANDARD_ERROR = 2
"""The descriptor: `sys.stderr` may be closed, or none of the system's files."""

MOST_BYTES = 64
"""Read from the wakeup socket at once: one byte a signal, and a second one ends the process."""


class Watchdog:
    """Watches from its beginning to its end as a context manager; `closing` says that the loop is being left.

    It hears SIGTERM and SIGINT itself: the first starts `closing`, the second ends the process at once. Python runs
    a signal's handler in the main thread, and not before a library's call there has returned, which may take a
    minute; the interpreter writes the signal's number to the wakeup descriptor in the same instant.
    """

    def __init__(
        self, health: Health, end: Callable[[], None] | None = None, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._health = health
        self._end = end
        self._close_seconds = close_seconds
        self._closing_since: float | None = None
        self._signalled = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._health.tick()
        self._ear, self._mouth = socket.socketpair()
        self._ear.settimeout(LOOK_SECONDS)
        self._mouth.setblocking(False)  # a signal's handler must not wait
        self._wakeup_before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        self._over.set()
        with contextlib.suppress(BlockingIOError):  # full: then there is something to hear anyway
            self._mouth.send(b"\0")
        self._thread.join(END_SECONDS)
        self._mouth.close()
        self._ear.close()

    def closing(self) -> None:
        """The loop is being left: from now on it need not turn, but must have closed in time."""
        if self._closing_since is None:
            self._closing_since = time.monotonic()

    def _watch(self) -> None:
        while not self._over.is_set():
            self._listen()
            why = None if self._over.is_set() else self._wrong()
            if why is not None:
                self._end_by_force(why)
                return

    def _end_by_force(self, why: str) -> None:
        if self._end is None:
            at_the_latest = threading.Timer(END_SECONDS, os._exit, (1,))
            at_the_latest.daemon = True
            at_the_latest.start()
        sentence = f"{why}: ended by force, nothing of the open transaction is committed, start it again"
        log.error(sentence)
        # Where each thread hangs: the process leaves no other trace of it.
        faulthandler.dump_traceback(file=STANDARD_ERROR)
        (self._end or _end_process)()

    def _listen(self) -> None:
        try:
            numbers = self._ear.recv(MOST_BYTES)
        except TimeoutError:
            return
        for number in numbers:
            if number not in STOP_SIGNALS:
                continue
            if self._signalled:
                # As in newsroom.waiting: the reader of a second Ctrl-C does not want any more clean-up.
                os._exit(128 + number)
            self._signalled = True
            self.closing()

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
