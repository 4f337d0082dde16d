"""Ends a process whose loop hangs, or that cannot close its Kafka clients.

A replica that hangs blocks its partitions, and neither a supervisor nor Docker restarts a process that still runs.
With exactly-once a hard end is safe at any instant: the restarted replica reads uncommitted records again.
"""

from __future__ import annotations

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
from newsroom.waiting import STOP_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom.health import Health

log = get_logger(__name__)

CLOSE_SECONDS = 8.0
"""Closing normally takes a second. While brokers are down, Quix's flush waits a minute and librdkafka's close may hang.
The stack kills a service after nine seconds; this limit is shorter, so that the log says why."""

LOOK_SECONDS = 0.5

END_SECONDS = 1.0
"""How long to wait for the watchdog thread, and for the last log line (the loop may hang because nobody reads our
output)."""

STANDARD_ERROR = 2
"""The file descriptor, because `sys.stderr` may be closed or may not be a real file."""

MOST_BYTES = 64
"""The most bytes to read from the wakeup socket at once: each signal is one byte, and the second ends the process."""


def end_process(why: str) -> None:
    """Log the reason and where each thread hangs, and end the process with exit code 1."""
    # Nobody may read our output: then the log line blocks.
    limit = threading.Timer(END_SECONDS, os._exit, (1,))
    limit.daemon = True
    limit.start()
    message = f"{why}: ended by force; the open transaction was not committed"
    log.error(message)
    # The process leaves no other evidence.
    faulthandler.dump_traceback(file=STANDARD_ERROR)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1)


class Watchdog:
    """A context manager that watches the loop; `closing` tells it that the loop ends.

    It receives the stop signals itself: the first starts `closing`, the second ends the process at once. Python runs
    a signal handler in the main thread after the current library call has returned, which may take a minute. The
    interpreter writes the signal's number to the wakeup descriptor immediately.
    """

    def __init__(
        self, health: Health, end: Callable[[str], None] = end_process, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._health = health
        self._end = end
        self._close_seconds = close_seconds
        self._closing_since: float | None = None
        self._reason = ""
        self._signalled = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._health.tick()
        self._ear, self._mouth = socket.socketpair()
        self._ear.settimeout(LOOK_SECONDS)
        self._mouth.setblocking(False)  # a signal handler must not block
        self._wakeup_before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        self._mouth.close()  # ends the thread
        self._thread.join(END_SECONDS)
        self._ear.close()

    def closing(self, reason: str = "") -> None:
        """Stop requiring that the loop turns, and require that the clients close in time instead.

        `reason` is why the service ends. If the clients hang, nobody else could say it.
        """
        if self._closing_since is None:
            self._closing_since = time.monotonic()
            self._reason = reason and f"{reason}; "

    def _watch(self) -> None:
        why = None
        while why is None:
            try:
                numbers = self._ear.recv(MOST_BYTES)
            except TimeoutError:
                pass
            else:
                if not numbers:  # the other end is closed
                    return
                self._on_signals(numbers)
            why = self._wrong()
        self._end(why)

    def _on_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number not in STOP_SIGNALS:
                continue
            if self._signalled:
                # As in newsroom.waiting: after a second Ctrl-C the user does not want to wait for clean-up.
                os._exit(128 + number)
            self._signalled = True
            self.closing()

    def _wrong(self) -> str | None:
        if self._closing_since is not None:
            late = time.monotonic() - self._closing_since > self._close_seconds
            text = f"{self._reason}the Kafka clients did not close within {self._close_seconds:g} s"
            return text if late else None
        alive, details = self._health.alive()
        return (
            None if alive else f"the loop has not turned for {details['loop_age_seconds']} s; start the service again"
        )
