"""Start and stop of a service: one wrapper around every `main`.

SIGTERM and SIGINT set a flag that the service's loop looks at; a second signal ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from newsroom.errors import NewsroomError
from newsroom.logs import configure_logging, get_logger
from newsroom.settings import ServiceSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

log = get_logger(__name__)


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


def run_service(name: str, settings_class: type[SettingsT], body: Callable[[SettingsT, StopFlag], int | None]) -> int:
    """Read the settings, set up logging and signals, run `body`, and turn errors into sentences.

    Returns:
        The exit code: 0 after a clean end, the error's own code after a `NewsroomError`.
    """
    try:
        settings = load_settings(settings_class, name, sys.argv[1:])
    except NewsroomError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    configure_logging(name, log_format=settings.log_format, level=settings.log_level)
    stop = StopFlag()
    stop.install()
    try:
        return body(settings, stop) or 0
    except NewsroomError as error:
        log.error(str(error), error=type(error).__name__)  # noqa: TRY400 - the sentence is the message
        return error.exit_code
