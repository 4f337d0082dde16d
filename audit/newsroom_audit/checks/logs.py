"""What logs say: error lines, stack traces, restarts, and the times of lines. For our services' lines and Kafka's."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from newsroom_audit.errors import AuditError
from newsroom_audit.findings import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LONGEST_QUOTE = 300
"""How many characters of a line a finding shows."""

ERRORS = frozenset({"error", "critical", "fatal"})

_colour = re.compile(r"\x1b\[[0-9;]*m")
_console = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\S+) +\[(?P<level>\w+) *\]")
"""A line of ours: 2026-01-31T12:00:00.123456Z [info] name: event."""
_java = re.compile(r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+\] (?P<level>[A-Z]+) ")
"""A line of Kafka's: [2026-01-31 12:00:00,123] INFO message (class)."""
_restart = re.compile(r"\S (ended with exit code -?\d+|was ended by SIG[A-Z]+)")
_java_frame = re.compile(r"\s+at [\w$.<>/]+\(")


class LogLine(NamedTuple):
    """A line, its level and its time in seconds since 1970; what cannot be told is empty or None."""

    number: int
    text: str
    level: str = ""
    at: float | None = None
    trace: bool = False


def parse_lines(lines: Iterable[str]) -> Iterator[LogLine]:
    """Tell the level and the time of each line; a stack trace is told once.

    Kafka's traces are error lines: its brokers and Connect write one for each connection that a fault breaks.
    """
    in_java_trace, before = False, ""
    for number, raw in enumerate(lines, 1):
        text = _colour.sub("", raw.rstrip("\n"))
        frame = bool(_java_frame.match(text))
        trace = text.startswith("Traceback (most recent call last)")
        first_frame = frame and not in_java_trace
        in_java_trace = frame or (in_java_trace and text.startswith(("Caused by:", "\t")))
        if first_frame:
            yield LogLine(number, before, "error")
        elif text.startswith("{") and (line := _json_line(number, text)):
            yield line
        elif match := _console.match(text) or _java.match(text):
            yield LogLine(number, text, match["level"].lower(), _seconds(match["time"]), trace)
        else:
            yield LogLine(number, text, trace=trace)
        before = text


def _json_line(number: int, text: str) -> LogLine | None:
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    level, event = str(entry.get("level", "")).lower(), str(entry.get("event", text))
    return LogLine(number, event, level, _seconds(str(entry.get("timestamp", ""))), "exception" in entry)


def _seconds(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def log_findings(name: str, lines: Iterable[str], allowed: str | None = None) -> Iterator[Finding]:
    """The error lines, stack traces and restarts of a log; lines that match `allowed` are left out."""
    permitted = re.compile(allowed).search if allowed else None
    for line in parse_lines(lines):
        if permitted and permitted(line.text):
            continue
        text = f"{name} line {line.number}: {line.text[:LONGEST_QUOTE]}"
        if line.trace:
            yield Finding(Kind.TRACE, text)
        elif line.level in ERRORS:
            yield Finding(Kind.ERROR_LINE, text)
        if _restart.search(line.text):
            yield Finding(Kind.RESTART, text)


def times_of(lines: Iterable[str], pattern: str) -> list[float]:
    """The times of the lines that match a pattern, for the gaps between them."""
    matches = re.compile(pattern).search
    return [line.at for line in parse_lines(lines) if line.at is not None and matches(line.text)]


def read_log(path: Path) -> list[str]:
    """The lines of a log file.

    Raises:
        AuditError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise AuditError(f"the log {path} cannot be read: {error.strerror}") from error
