"""A sender's ledger: JSON lines that say what it was about to send, and what became of each record.

A ledger survives the death of its sender: the line of an intention is in the file before the record is handed to the
client. A record without a line of its outcome is *unknown*: it may or may not be in its topic.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Self, TextIO

from newsroom_audit.errors import AuditError
from newsroom_audit.history import json_lines

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

VERSION = 1


class Outcome(Enum):
    """What became of a record."""

    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    """Definitely not written."""
    UNKNOWN = "unknown"
    """No delivery report, or one that leaves open whether the record was written."""


@dataclass(slots=True)
class Entry:
    """One record of a sender. Times are seconds since 1970 (UTC)."""

    id: str
    number: int
    topic: str
    key: bytes | None = None
    value: bytes | None = None
    sent: float = 0.0
    count: int | None = None
    """Of a label: a count of its word that the join had processed. A result is owed, not with a lower count."""
    outcome: Outcome = Outcome.UNKNOWN
    partition: int = -1
    offset: int = -1
    """-1: the delivery report names none."""
    settled: float = 0.0
    reason: str = ""

    @property
    def has_offset(self) -> bool:
        """Whether the delivery report says at which offset the record is."""
        return self.offset >= 0

    @property
    def place(self) -> str:
        """Where the delivery report says that the record is."""
        return f"{self.topic} partition {self.partition}" + (f" offset {self.offset}" if self.has_offset else "")


@dataclass
class Ledger:
    """All records of one sender, in the order in which it sent them."""

    run: str
    seed: int | None = None
    entries: dict[str, Entry] = field(default_factory=dict)

    def of(self, topic: str) -> list[Entry]:
        """The records sent to a topic."""
        return [entry for entry in self.entries.values() if entry.topic == topic]


def record_id(run: str, number: int) -> str:
    """The id of a sender's record."""
    return f"{run}-{number}"


def run_of(identity: str) -> str:
    """The run that an id belongs to."""
    return identity.rpartition("-")[0]


class LedgerWriter:
    """Writes a new ledger. A context manager.

    Raises:
        AuditError: the file exists already, or cannot be written.
    """

    def __init__(self, path: Path, run: str, seed: int | None = None) -> None:
        try:
            # Line by line: a sender that is killed has told the file about each record that it handed over.
            self._file: TextIO = path.open("x", buffering=1, encoding="utf-8")
        except OSError as error:
            raise AuditError(f"the ledger {path} cannot be written: {error.strerror}; name a new file") from error
        self._write({"ledger": VERSION, "run": run, "seed": seed})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def intend(self, entry: Entry) -> None:
        """Note a record before it is sent."""
        line: dict[str, Any] = {
            "id": entry.id,
            "number": entry.number,
            "topic": entry.topic,
            "key": _text(entry.key),
            "value": _text(entry.value),
            "sent": entry.sent,
        }
        if entry.count is not None:
            line["count"] = entry.count
        self._write(line)

    def settle(self, entry: Entry) -> None:
        """Note the outcome of a record."""
        line: dict[str, Any] = {"id": entry.id, "outcome": entry.outcome.value, "settled": entry.settled}
        if entry.outcome is Outcome.ACKNOWLEDGED:
            line |= {"partition": entry.partition, "offset": entry.offset}
        else:
            line["reason"] = entry.reason
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")


def read_ledger(path: Path) -> Ledger:
    """Read a ledger; an incomplete last line, which a kill leaves behind, is ignored.

    Raises:
        AuditError: the file cannot be read, is not a ledger, or contradicts itself.
    """
    lines = json_lines(path)
    head = next(lines, None)
    if not isinstance(head, dict) or head.get("ledger") != VERSION:
        raise AuditError(f"{path} is not a ledger of version {VERSION}: write it with newsroom-audit load")
    ledger = Ledger(str(head["run"]), head.get("seed"))
    for number, line in enumerate(lines, 2):
        try:
            _apply(ledger, line)
        except (KeyError, TypeError, ValueError) as error:
            raise AuditError(f"ledger {path} line {number} cannot be understood: {error!r}") from error
    return ledger


def _apply(ledger: Ledger, line: dict[str, Any]) -> None:
    identity = line["id"]
    if "outcome" not in line:
        if identity in ledger.entries:
            raise ValueError(f"the id {identity} is sent twice")
        ledger.entries[identity] = Entry(
            identity,
            line["number"],
            line["topic"],
            _bytes(line["key"]),
            _bytes(line["value"]),
            line["sent"],
            line.get("count"),
        )
        return
    entry = ledger.entries[identity]
    if entry.settled:
        raise ValueError(f"the id {identity} has two outcomes")
    entry.outcome, entry.settled = Outcome(line["outcome"]), line["settled"]
    entry.reason = line.get("reason", "")
    if entry.outcome is Outcome.ACKNOWLEDGED:
        entry.partition, entry.offset = line["partition"], line["offset"]


def _text(data: bytes | None) -> str | None:
    # surrogateescape keeps every byte: what is not UTF-8 becomes \udc80 to \udcff, which JSON can write.
    return None if data is None else data.decode("utf-8", "surrogateescape")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")
