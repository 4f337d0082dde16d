"""Waiting: stop flag, deadline, and the one way to ask again until something is so."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from newsroom.errors import NotYet, TransientError
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T")

log = get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
"""The pause doubles from the first to the longest: what restarts (3 to 18 s) is not hammered, and is found soon
after it is back."""


class Stopped(Exception):
    """A signal asked the process to stop while it waited. `run_service` ends it without an error."""


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


def do_nothing(*_: object) -> None:
    """The default of what is done between two attempts."""


def log_missing(missing: str) -> None:
    """Log what is waited for."""
    log.info("waiting", missing=missing)


@dataclass(frozen=True)
class Wait:
    """How long something is waited for, and what else may end or interrupt the wait."""

    deadline: Deadline
    stop: StopFlag = field(default_factory=StopFlag)
    tick: Callable[[], None] = do_nothing
    """Called before each pause: the loop still turns."""
    first_pause: float = FIRST_PAUSE_SECONDS
    longest_pause: float = LONGEST_PAUSE_SECONDS
    report: Callable[[str], None] = log_missing
    """Called with what is missing whenever that changes."""

    def until(self, attempt: Callable[[], T], late: Callable[[str], Exception]) -> T:
        """Call `attempt` until it raises no `TransientError`, and return its result.

        `late` makes the error of a wait that lasted too long, from what
        was last missing. The attempt that the deadline interrupts is followed by a last one.

        Raises:
            Stopped: a signal came meanwhile.
            Exception: what `late` made, or whatever else `attempt` raised.
        """
        reported, pause = "", self.first_pause
        while True:
            try:
                return attempt()
            except TransientError as error:
                missing = str(error)
                if self.stop:
                    raise Stopped(missing) from error
                if self.deadline.passed():
                    raise late(missing) from error
            if missing != reported:
                reported = missing
                self.report(missing)
            self.tick()
            if self.stop.wait(min(pause, self.deadline.left())):
                raise Stopped(missing)
            pause = min(2 * pause, self.longest_pause)


def need(missing: str | None) -> None:
    """Do nothing when nothing is missing.

    Raises:
        NotYet: something is.
    """
    if missing is not None:
        raise NotYet(missing)
