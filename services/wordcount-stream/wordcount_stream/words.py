"""What counts as a word: the lab's rules."""

from __future__ import annotations

import re

SKIP_MARK = "filter"
"""A text that contains it is not counted at all."""

MAX_WORD_CHARACTERS = 1000
"""A longer "word" is no word (base64, a line of underscores), and as a record's key it could exceed what a broker
takes (1 MB), which would stop the service at that record for ever."""

_words = re.compile(r"\w+").findall


def words_of(text: str) -> list[str] | None:
    r"""The words of a text in lower case, as `split("\W+")` without the empty ones; None if it is filtered out."""
    if SKIP_MARK in text:
        return None
    words: list[str] = _words(text.lower())
    return words


def without_overlong(words: list[str]) -> list[str]:
    """The words that do not exceed the length limit."""
    return [word for word in words if len(word) <= MAX_WORD_CHARACTERS]
