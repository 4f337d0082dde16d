"""Waiting: the one way to ask again until something is so."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class StopFlag:
    """Set by the first SIGTERM or SIGINT. Waits on it end at once when it is set."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Ask the service to finish, commit and end."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; true when the flag is set."""
        return self._event.wait(seconds)

    def install(self) -> None:
        """Handle SIGTERM and SIGINT: the first sets the flag, the second ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self:
            # os._exit: the reader of a second Ctrl-C does not want any more clean-up.
            os._exit(128 + number)
        self.set()


class Deadline:
    """A point in time that several waits share, so that their sum is bounded."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0.0
