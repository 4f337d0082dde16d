"""The tables of the page: the newest count of each word, and the last joined records. Uses no Kafka client."""

from __future__ import annotations

import heapq
import json
from collections import deque
from itertools import chain

from status_api.figures import JoinedRecord, Tables

TOP_WORDS = 150
"""How many words are kept in a snapshot: enough that some are left without stop words."""
LAST_JOINED = 50
MAX_TEXT = 200
"""How many characters of a word or a joined value are kept, so that memory is bounded for any input."""
MAX_COUNT = 2**63 - 1
"""The greatest count: a 64-bit integer in Java. Python parses longer integers, but writes at most 4,300 digits."""


class WordTable:
    """The newest count of every word in word-counts, by partition."""

    def __init__(self, max_words: int) -> None:
        self._max_words = max_words
        self._counts: dict[int, dict[str, int]] = {}
        self._last_offset: dict[int, int] = {}
        self.distinct = 0
        """The number of words that have a count."""
        self.total = 0
        """The sum of the newest counts."""
        self.complete = True

    def apply(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Apply one record: a count replaces the previous one, a tombstone deletes the word.

        An offset that does not grow means that the topic was recreated, so the partition starts again.
        """
        if offset <= self._last_offset.get(partition, -1):
            self.forget(partition)
        self._last_offset[partition] = offset
        if key is None:
            return
        counts = self._counts.setdefault(partition, {})
        word = _text(key)
        count = None if value is None else parse_count(value)
        if word in counts:
            self.total -= counts.pop(word)
            self.distinct -= 1
        if count is None:
            return
        if self.distinct >= self._max_words:
            self.complete = False
            return
        counts[word] = count
        self.total += count
        self.distinct += 1

    def forget(self, partition: int) -> None:
        """Drop the words of a partition."""
        counts = self._counts.pop(partition, {})
        self.total -= sum(counts.values())
        self.distinct -= len(counts)
        self._last_offset.pop(partition, None)

    def clear(self) -> None:
        """Drop everything, because the topic is gone."""
        for partition in list(self._last_offset):
            self.forget(partition)
        self.complete = True

    def top(self) -> tuple[tuple[str, int], ...]:
        """Return the most frequent words; words with the same count are in alphabetical order."""
        counts = chain.from_iterable(counts.items() for counts in self._counts.values())
        return tuple(heapq.nsmallest(TOP_WORDS, counts, key=lambda pair: (-pair[1], pair[0])))


class JoinedLog:
    """The last records of words-joined, and the number of all records."""

    def __init__(self) -> None:
        self._last: deque[JoinedRecord] = deque(maxlen=LAST_JOINED)
        self._last_offset: dict[int, int] = {}
        self.total = 0

    def apply(
        self, partition: int, offset: int, key: bytes | None, value: bytes | None, timestamp_ms: int | None
    ) -> None:
        """Add one record. An offset that does not grow means that the topic was recreated: start again."""
        if offset <= self._last_offset.get(partition, -1):
            self.clear()
        self._last_offset[partition] = offset
        self.total += 1
        self._last.append(JoinedRecord(_text(key or b""), joined_text(value), timestamp_ms))

    def clear(self) -> None:
        """Drop everything, because the topic is gone."""
        self._last.clear()
        self._last_offset.clear()
        self.total = 0

    def newest_first(self) -> tuple[JoinedRecord, ...]:
        """Return the last records by timestamp, newest first."""
        # Sorting is stable: of records with the same timestamp, the later arrival stays first.
        arrivals = list(reversed(self._last))
        return tuple(sorted(arrivals, key=lambda record: -(record.timestamp_ms or 0)))


def view(words: WordTable, joined: JoinedLog, error: str | None = None) -> Tables:
    """Return the figures of both tables that the page shows."""
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
    """Parse a count in JSON, a number or an object with `count`; return None for anything else."""
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):  # a value nested a thousand times raises RecursionError
        return None
    if isinstance(content, dict):
        content = content.get("count")
    return content if isinstance(content, int) and not isinstance(content, bool) and abs(content) <= MAX_COUNT else None


def joined_text(value: bytes | None) -> str:
    """Return a joined value in the lab's form, `(6, active)`; return any other text unchanged."""
    if value is None:
        return ""
    try:
        content = json.loads(value)
        parts = list(content.values()) if isinstance(content, dict) else content
        text = f"({', '.join(str(part) for part in parts)})" if isinstance(parts, list) else str(content)
    except (ValueError, RecursionError):
        return _text(value)
    # JSON can escape half of a surrogate pair, which cannot be encoded in a response.
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")[:MAX_TEXT]
