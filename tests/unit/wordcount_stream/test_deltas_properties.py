"""Deltas of any words: nothing is lost, added or moved on the way through the internal topic."""

import contextlib
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from newsroom.errors import DecodeError
from wordcount_stream.deltas import MOST_COUNT, decode, encode, home_of, split
from wordcount_stream.words import words_of

WORDS = st.text().flatmap(lambda text: st.sampled_from(words_of(text) or ["word"]))
COUNTS = st.dictionaries(WORDS, st.integers(1, MOST_COUNT))


@given(COUNTS, st.integers(1, 12), st.integers(40, 400))
@example({f"wörd{number}": number + 1 for number in range(1000)}, 6, 400)
@example({"a": 1, "b" * 100: 2, "c": 3}, 1, 50)
def test_every_count_arrives_once_at_its_home(counts: dict[str, int], partitions: int, limit: int) -> None:
    arrived: Counter[str] = Counter()
    for home, part in split(counts, partitions).items():
        for payload in encode(part, limit):
            words = decode(payload)
            assert len(payload) <= limit or len(words) == 1
            assert {home_of(word, partitions) for word in words} == {home}
            arrived.update(words)
    assert arrived == counts


@given(st.binary())
def test_any_bytes_are_deltas_or_poison(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert all(type(count) is int for count in decode(data).values())
