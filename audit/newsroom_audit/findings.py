"""Findings: what a check found, in one sentence, and the record that proves it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsroom_audit.history import Record


class Kind(Enum):
    """What is wrong. The value is the name in reports."""

    LOST = "lost"
    """An acknowledged record, or the effect of one, that nobody can read."""
    DUPLICATED = "duplicated"
    """One record, or its effect, in two places."""
    GHOST = "ghosts"
    """A record that nobody sent, or whose sending failed."""
    ORDER = "order breaks"
    """A later record before an earlier one in the same partition."""
    COUNT = "wrong counts"
    JOIN = "wrong joins"
    AHEAD = "commit-ahead"
    """A committed offset that passes an input without an effect, or that falls."""
    DISAGREEMENT = "disagreements"
    """Two readers, or a reader and a delivery report, name different contents of one place."""
    OPEN = "open transactions"
    """A partition whose last stable offset stays behind its end."""
    BEHIND = "groups behind"
    """A consumer group that did not pass what was there when the audit began."""
    INCOMPLETE = "incomplete histories"
    """Records that a check needs were deleted, so it cannot judge."""
    TRACE = "stack traces"

    REPEATED = "repeated"
    """An effect that came again after a crash, where at-least-once allows it."""
    UNMATCHED = "unmatched labels"
    """A label without a result whose word may have had no count yet."""
    ERROR_LINE = "error lines"
    RESTART = "restarts"

    @property
    def wrong(self) -> bool:
        """Whether it breaks a guarantee. The others are remarks."""
        return self not in REMARKS


REMARKS = frozenset({Kind.REPEATED, Kind.UNMATCHED, Kind.ERROR_LINE, Kind.RESTART})


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect, or one remark. Without a place it concerns no single record."""

    kind: Kind
    sentence: str
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


def finding(kind: Kind, record: Record, sentence: str) -> Finding:
    """A finding that a record proves: the sentence follows the record's place."""
    return Finding(kind, f"{record.place}: {sentence}", record.topic, record.partition, record.offset)
