"""Start and stop of a service: one wrapper around every `main`."""

from __future__ import annotations

import os
import pkgutil
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

from newsroom.errors import NewsroomError
from newsroom.help import help_text
from newsroom.lean import leave_out_extras
from newsroom.logs import configure_logging, get_logger
from newsroom.proxies import ask_no_proxy_for_loopback
from newsroom.settings import ServiceSettings, load_settings, unknown_variables
from newsroom.terminal import give_up_output, tolerate_any_terminal, write_text
from newsroom.waiting import StopFlag, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

log = get_logger(__name__)

UNFORESEEN = 70
"""The exit code after an unforeseen error: EX_SOFTWARE of sysexits.h."""


def run_service(
    name: str,
    settings_class: type[SettingsT],
    body: str,
    *,
    stopped_code: int = 0,
) -> int:
    """Read the settings, set up logging and signals, run `body`, and log how it ended.

    `body` names a function of the settings and a `StopFlag` as `module:function`. The module is imported after the
    settings are read, so that `--help` loads no client library. The function may return the exit code.

    Returns:
        The exit code: 0 after a clean end, `stopped_code` if a signal arrived during a wait, the error's own code after
        a `NewsroomError`, 70 after any other error, which is logged with its trace, and 1 if standard output failed.
    """
    tolerate_any_terminal()
    arguments = sys.argv[1:]
    if {"-h", "--help"}.intersection(arguments):
        return write_text(help_text(settings_class, name), name)
    try:
        settings = load_settings(settings_class, name, arguments)
    except NewsroomError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    leave_out_extras()
    ask_no_proxy_for_loopback(repr(settings))
    stop = StopFlag()
    stop.install()
    output = _Output(name)
    configure_logging(name, log_format=settings.log_format, level=settings.log_level, on_loss=output.lose)
    for sentence in unknown_variables(settings_class, os.environ):
        log.warning(sentence)
    return _run(body, settings, stop, stopped_code) or output.code


def _run(body: str, settings: SettingsT, stop: StopFlag, stopped_code: int) -> int:
    try:
        if settings.client_properties:
            from newsroom.property_check import refuse_unknown  # noqa: PLC0415 - it loads the Kafka client

            refuse_unknown(settings.properties())
        run: Callable[[SettingsT, StopFlag], int | None] = pkgutil.resolve_name(body)
        return run(settings, stop) or 0
    except Stopped as stopped:
        log.warning("stopped by a signal while waiting", missing=str(stopped))
        return stopped_code
    except NewsroomError as error:
        log_error(error)
        return error.exit_code
    except Exception:
        log.exception("an error that nobody foresaw ended the service")
        return UNFORESEEN


class _Output:
    """What the loss of standard output means: the service ends as after SIGTERM."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._process = os.getpid()
        """The process to end: a child that it forked may be the first that writes."""
        self.code = 0

    def lose(self, error: OSError) -> None:
        """End the service in order; with the reason on standard error unless the reader closed the pipe."""
        self.code = give_up_output(error, self._service)
        os.kill(self._process, signal.SIGTERM)


def log_error(error: NewsroomError) -> None:
    """Log an error as its sentence, with its class and fields for programs."""
    log.error(str(error), error=type(error).__name__, **error.fields)
