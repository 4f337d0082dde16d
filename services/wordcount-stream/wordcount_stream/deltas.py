"""Deltas: the occurrences of each word since the last commit, split by the partition that keeps the word's count.

Every word has one home: the partition of `word-deltas` that Kafka's key hash gives it. So one replica at a time keeps
its count, and only that replica writes it to `word-counts`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from newsroom.errors import DecodeError
from wordcount_stream.words import MAX_WORD_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_RECORD_BYTES = 500_000
"""Half of a broker's default limit (1 MB). A large checkpoint becomes several records."""

CACHED_HOMES = 200_000
"""The size of the cache of words' homes: ten times a newspaper's vocabulary, about 30 MB. A hash takes 5 us."""

QUOTES_COLON_COMMA = 4
MAX_DIGITS = 19
"""The most digits of a 64-bit count."""

MOST_COUNT = 10**12
"""The highest count of one delta: no checkpoint has as many words. Many such deltas fit in a 64-bit count."""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_R = 24
_MASK = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key, as an unsigned 32-bit number (org.apache.kafka.common.utils.Utils.murmur2)."""
    length = len(key)
    h = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * _M & _MASK
        k = (k ^ k >> _R) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole != length:
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=CACHED_HOMES)
def home_of(word: str, partitions: int) -> int:
    """The partition that Kafka's partitioners `murmur2` and `murmur2_random` choose for the key `word`."""
    return (murmur2(word.encode()) & _POSITIVE) % partitions


def split(counts: Mapping[str, int], partitions: int) -> dict[int, dict[str, int]]:
    """Split counts by each word's home; the result has no entry for a partition without words."""
    homes: dict[int, dict[str, int]] = {}
    for word, count in counts.items():
        homes.setdefault(home_of(word, partitions), {})[word] = count
    return homes


def encode(counts: Mapping[str, int], limit: int = MAX_RECORD_BYTES) -> Iterator[bytes]:
    """Encode counts as JSON objects of at most `limit` bytes each; only a single longer word exceeds the limit."""
    whole = orjson.dumps(counts)
    if len(whole) <= limit:
        yield whole
        return
    part: dict[str, int] = {}
    size = 2
    for word, count in counts.items():
        # Words consist of \w characters: JSON writes them without escapes.
        added = len(word.encode()) + QUOTES_COLON_COMMA + MAX_DIGITS
        if part and size + added > limit:
            yield orjson.dumps(part)
            part, size = {}, 2
        part[word] = count
        size += added
    yield orjson.dumps(part)


def decode(data: bytes, _: object = ()) -> dict[str, int]:
    """Decode one payload of `encode`.

    Raises:
        DecodeError: the bytes are something else, so another program writes to the internal topic.
    """
    try:
        counts = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"the value is not a set of deltas: {error}") from error
    if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
        raise DecodeError("the value is not a set of deltas: not a JSON object of whole numbers")
    if any(len(word) > MAX_WORD_CHARACTERS or not 0 < count <= MOST_COUNT for word, count in counts.items()):
        raise DecodeError("the value is not a set of deltas: a word is too long, or its count is impossible")
    return counts
