"""Logging: structlog over the standard library, so that the lines of libraries have the same form."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

from typing_extensions import override

from newsroom.lean import without

with without("rich"):  # for coloured tracebacks, which no log has
    import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

Logger = structlog.stdlib.BoundLogger

QUIET = {"httpx": logging.WARNING, "httpcore": logging.WARNING, "urllib3": logging.WARNING}
"""Libraries that log every request at info."""

LIBRDKAFKA = ("librdkafka", "quixstreams.kafka.consumer", "quixstreams.kafka.producer")
"""The loggers of Kafka clients: the one that our services give them, and those of Quix Streams."""

_FACILITIES = frozenset({"FAIL", "ERROR", "REQTMOUT"})
_CONNECTION = re.compile(
    r"Connect to \S+ failed|Disconnected|Connection setup timed out|(Receive|Send) failed|brokers are down"
    r"|request\(s\) timed out|Timed out .*(in flight|in-flight|in-queue)"
)

_HANDSHAKE = "SSL handshake failed"
"""With librdkafka's hint: "connecting to a PLAINTEXT broker listener?"."""


class ConnectionNoise(logging.Filter):
    """Makes librdkafka's lines about single connections debug lines.

    librdkafka logs each lost connection as an error, and connects again by itself. The services log the loss of the
    cluster, once, from the errors of their calls and callbacks. A refused login or certificate, a failed TLS handshake,
    an address that does not resolve, and all other lines keep their level.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Make the record a debug record if it is such a line; return false if debug lines are off."""
        facility = record.args[0] if isinstance(record.args, tuple) and record.args else None
        text = record.getMessage()
        if facility not in _FACILITIES or not _CONNECTION.search(text) or _HANDSHAKE in text:
            return True
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


_CONNECTION_NOISE = ConnectionNoise()
"""One filter for all loggers: a logger ignores a filter that it already has."""


class OutputHandler(logging.StreamHandler[TextIO]):
    """Writes the log to standard output. The first error of the output goes to `on_loss`, and to nobody else."""

    def __init__(self, on_loss: Callable[[OSError], None]) -> None:
        super().__init__(sys.stdout)
        self._on_loss = on_loss
        self.lost = False

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.lost:
            self.lost = True
            self._on_loss(error)


def output_is_lost() -> bool:
    """Whether a line could not be written: nobody has seen it."""
    return any(isinstance(handler, OutputHandler) and handler.lost for handler in logging.getLogger().handlers)


def _raise(error: OSError) -> None:
    raise error


def get_logger(name: str) -> Logger:
    """A logger that takes key-value pairs: `log.info("assigned", partitions=[0, 1])`."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


def configure_logging(
    service: str, *, log_format: str = "auto", level: str = "info", on_loss: Callable[[OSError], None] = _raise
) -> None:
    """Set up logging of the whole process: readable lines, or JSON lines with `log_format="json"`.

    `on_loss` is called once, with the first error of standard output.

    Standard output carries only the log. Console lines have colours only on a terminal. An event of several lines
    (the lab's `Reading :`) keeps its lines.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = log_format == "json"
    renderer: Any = structlog.processors.JSONRenderer() if as_json else _console_renderer()
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    final += [_add_service(service), structlog.processors.dict_tracebacks] if as_json else [_name_first]
    handler = OutputHandler(on_loss)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*final, renderer]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name, level_number in QUIET.items():
        logging.getLogger(name).setLevel(max(level_number, root.level))
    for name in LIBRDKAFKA:
        logging.getLogger(name).addFilter(_CONNECTION_NOISE)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _console_renderer() -> Any:  # noqa: ANN401 - structlog's processors are untyped callables
    # pad_event_to=0: the lab's lines end where their text ends. A plain traceback does not show local variables, which
    # may hold passwords.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(),
        pad_event_to=0,
        pad_level=False,
        exception_formatter=structlog.dev.plain_traceback,
    )


def _name_first(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401
    # structlog would put the logger's name behind the event, where the lab's lines end.
    event["event"] = f"{event.pop('logger')}: {event['event']}"
    return event


def _add_service(service: str) -> structlog.typing.Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401
        event["service"] = service
        return event

    return add
