"""The tables behind the page: newest count of each word, and the last joins. Knows no Kafka client."""

from __future__ import annotations

import heapq
import json
from collections import deque

from status_api.model import Joined, Tables

TOP_WORDS = 20
LAST_JOINED = 50
MAX_TEXT = 200
"""Characters of a word or a joined value that are kept: memory is bounded whatever the topics hold."""
MOST = 2**63 - 1
"""The greatest count, as a 64-bit integer of Java holds it. Python's have no end, and cannot be written beyond 4,300
digits."""


class WordTable:
    """The newest value of every key of word-counts, partition by partition."""

    def __init__(self, max_words: int) -> None:
        self._max_words = max_words
        self._counts: dict[int, dict[str, int]] = {}
        self._last_offset: dict[int, int] = {}
        self._distinct = 0
        self._total = 0
        self.complete = True

    def apply(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take one record: a count replaces the one before, a tombstone deletes the word.

        An offset that does not grow means that the topic was created anew: the partition starts afresh.
        """
        if offset <= self._last_offset.get(partition, -1):
            self.forget(partition)
        self._last_offset[partition] = offset
        if key is None:
            return
        counts = self._counts.setdefault(partition, {})
        word = _text(key)
        count = None if value is None else parse_count(value)
        if count is None:
            if word in counts:
                self._total -= counts.pop(word)
                self._distinct -= 1
            return
        if word in counts:
            self._total += count - counts[word]
        elif self._distinct >= self._max_words:
            self.complete = False
            return
        else:
            self._total += count
            self._distinct += 1
        counts[word] = count

    def forget(self, partition: int) -> None:
        """Drop what a partition held."""
        counts = self._counts.pop(partition, {})
        self._total -= sum(counts.values())
        self._distinct -= len(counts)
        self._last_offset.pop(partition, None)

    def clear(self) -> None:
        """Drop everything: the topic is gone."""
        for partition in list(self._last_offset):
            self.forget(partition)
        self.complete = True

    def top(self) -> tuple[tuple[str, int], ...]:
        """The most frequent words, alphabetically among equals."""
        everything = ((word, count) for counts in self._counts.values() for word, count in counts.items())
        return tuple(heapq.nsmallest(TOP_WORDS, everything, key=lambda item: (-item[1], item[0])))

    @property
    def distinct(self) -> int:
        """Words with a count."""
        return self._distinct

    @property
    def total(self) -> int:
        """Sum of the newest counts: words counted."""
        return self._total


class JoinedLog:
    """The last records of words-joined and their number."""

    def __init__(self) -> None:
        self._last: deque[Joined] = deque(maxlen=LAST_JOINED)
        self._last_offset: dict[int, int] = {}
        self.total = 0

    def apply(
        self, partition: int, offset: int, key: bytes | None, value: bytes | None, timestamp_ms: int | None
    ) -> None:
        """Take one record. An offset that does not grow means a topic created anew: the log starts afresh."""
        if offset <= self._last_offset.get(partition, -1):
            self.clear()
        self._last_offset[partition] = offset
        self.total += 1
        self._last.append(Joined(_text(key or b""), joined_text(value), timestamp_ms))

    def clear(self) -> None:
        """Drop everything: the topic is gone."""
        self._last.clear()
        self._last_offset.clear()
        self.total = 0

    def newest_first(self) -> tuple[Joined, ...]:
        """The last records by their time, the newest first."""
        arrived = list(self._last)
        arrived.reverse()  # sorting is stable: among equal times the later arrival stays first
        return tuple(sorted(arrived, key=lambda joined: -(joined.timestamp_ms or 0)))


def view(words: WordTable, joined: JoinedLog, error: str | None = None) -> Tables:
    """What the page shows of both tables."""
    return Tables(
        top_words=words.top(),
        distinct_words=words.distinct,
        words_counted=words.total,
        joined=joined.newest_first(),
        joined_total=joined.total,
        complete=words.complete,
        error=error,
    )


def parse_count(value: bytes) -> int | None:
    """A count as JSON writes it: a number, or an object with `count`. None when it is neither."""
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):  # the latter of a value nested a thousand times
        return None
    if isinstance(parsed, dict):
        parsed = parsed.get("count")
    return parsed if isinstance(parsed, int) and not isinstance(parsed, bool) and abs(parsed) <= MOST else None


def joined_text(value: bytes | None) -> str:
    """A joined value in the lab's form, `(6, active)`; any other text as it is."""
    if value is None:
        return ""
    try:
        parsed = json.loads(value)
        parts = list(parsed.values()) if isinstance(parsed, dict) else parsed
        text = f"({', '.join(str(part) for part in parts)})" if isinstance(parts, list) else str(parsed)
    except (ValueError, RecursionError):
        return _text(value)
    # JSON may escape half a character, which no answer can be encoded with.
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")[:MAX_TEXT]
