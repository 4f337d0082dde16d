"""Waiting: the stop flag, deadlines, and the one loop that repeats an attempt until it succeeds."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from newsroom.errors import NotYet, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
"""The pause doubles from the first to the longest. So a server that restarts (3 to 18 s) gets few requests, and the
wait ends soon after it is back."""

RESTORING = "restoring the state from its changelog"
"""So begins the reason of a stream that is not ready yet. While what follows changes, the stream makes progress."""


class Stopped(Exception):
    """A signal arrived while the process waited. `run_service` then ends it without an error."""


STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class StopFlag(threading.Event):
    """Set by the first of `STOP_SIGNALS`: asks the service to finish, commit and end. True when it is set."""

    def __bool__(self) -> bool:
        return self.is_set()

    def install(self) -> None:
        """Handle the stop signals: the first sets the flag, the second ends the process at once."""
        for number in STOP_SIGNALS:
            # `nohup` ignores SIGHUP for the program that it starts; SIGINT is ignored in a shell's background.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self:
            # os._exit: after a second Ctrl-C the user does not want to wait for clean-up.
            os._exit(128 + number)
        self.set()


class Deadline:
    """A point in time that several waits share, so that it bounds their sum."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds left; never below zero."""
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0.0


def do_nothing(*_: object) -> None:
    """Do nothing between two attempts."""


def log_missing(missing: str) -> None:
    """Log what a wait is for."""
    # Imported here: structlog costs CPU time that `newsroom ps` does not have, which logs nothing.
    from newsroom.logs import get_logger  # noqa: PLC0415

    get_logger(__name__).info("waiting", missing=missing)


@dataclass(frozen=True)
class Wait:
    """How long a wait may last, and what else ends or interrupts it."""

    deadline: Deadline
    stop: StopFlag = field(default_factory=StopFlag)
    tick: Callable[[], None] = do_nothing
    """Called before each pause, to note that the loop turns."""
    first_pause: float = FIRST_PAUSE_SECONDS
    longest_pause: float = LONGEST_PAUSE_SECONDS
    report: Callable[[str], None] = log_missing
    """Called with the reason for the wait whenever it changes."""

    def until(self, attempt: Callable[[], T], late: Callable[[str], Exception]) -> T:
        """Call `attempt` until it raises no `TransientError`, and return its result.

        `late` makes the error of a wait that lasts too long, from the last reason for it. The last attempt starts at
        the deadline. A pause is at least as long as the error's `retry_after`.

        Raises:
            Stopped: a signal arrived.
            Exception: the error that `late` made, or another error of `attempt`.
        """
        reported, pause, retry_after = "", self.first_pause, 0.0
        while True:
            try:
                return attempt()
            except TransientError as error:
                missing, retry_after = str(error), error.retry_after
                if self.stop:
                    raise Stopped(missing) from error
                if self.deadline.passed():
                    raise late(missing) from error
            if missing != reported:
                reported = missing
                self.report(missing)
            self.tick()
            if self.stop.wait(min(max(pause, retry_after), self.deadline.left())):
                raise Stopped(missing)
            pause = min(2 * pause, self.longest_pause)


def need(missing: str | None) -> None:
    """Do nothing if nothing is missing.

    Raises:
        NotYet: something is missing.
    """
    if missing is not None:
        raise NotYet(missing)
