"""The figures of the two tables: how often each word was counted, and what was joined."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JoinedRecord:
    """A record of words-joined."""

    word: str
    value: str
    timestamp_ms: int | None = None


@dataclass(frozen=True)
class Tables:
    """The figures read from word-counts and words-joined."""

    top_words: tuple[tuple[str, int], ...] = ()
    distinct_words: int = 0
    words_counted: int = 0
    joined: tuple[JoinedRecord, ...] = ()
    """The last records, newest first."""
    joined_total: int = 0
    complete: bool = True
    """False if the topic has more words than the reader may keep."""
    error: str | None = None


NO_TABLES = Tables()
