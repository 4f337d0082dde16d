"""Start and stop of a service: one wrapper around every `main`.

SIGTERM and SIGINT set a flag that the service's loop looks at; a second signal ends the process at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from newsroom.errors import NewsroomError
from newsroom.logs import configure_logging, get_logger
from newsroom.settings import ServiceSettings, load_settings
from newsroom.waiting import StopFlag

if TYPE_CHECKING:
    from collections.abc import Callable

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

log = get_logger(__name__)


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
