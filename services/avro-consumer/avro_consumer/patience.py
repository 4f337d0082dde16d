"""Asking a schema registry that may not answer, up to a deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from newsroom.errors import RegistryUnavailable
from newsroom.lifecycle import Deadline
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom.lifecycle import StopFlag

T = TypeVar("T")

log = get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
"""The pause doubles from the first to the longest: a registry that restarts (3 to 18 s) is not hammered, and is
found again soon after it is back."""


class Interrupted(Exception):
    """The service is to stop while it waits."""


class Patience:
    """Calls again what raises `RegistryUnavailable`, until `seconds` have passed; the wait ends at a signal."""

    def __init__(self, seconds: float, stop: StopFlag, tick: Callable[[], None]) -> None:
        self._seconds = seconds
        self._stop = stop
        self._tick = tick

    def ask(self, call: Callable[[], T], purpose: str) -> T:
        """The call's result.

        Raises:
            RegistryUnavailable: it had none before the deadline.
            Interrupted: a signal came meanwhile.
        """
        deadline = Deadline(self._seconds)
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except RegistryUnavailable as error:
                if deadline.passed():
                    raise RegistryUnavailable(
                        f"no schema for {purpose} within {self._seconds:g} s: {error}; nothing of it was committed"
                    ) from error
                log.warning("the schema registry does not answer, asking again", error=str(error), purpose=purpose)
            if self._stop.wait(min(pause, deadline.left())):
                raise Interrupted
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._tick()
