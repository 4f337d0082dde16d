"""What counts as a word: the lab's rules."""

from __future__ import annotations

import re

SKIP_MARK = "filter"
"""The words of a text that contains this are not counted."""

MAX_WORD_CHARACTERS = 1000
"""A longer "word" is not a word (base64, a line of underscores). As a record's key it could exceed the broker's limit
(1 MB), and the service would stop at that record after every restart."""

_words = re.compile(r"\w+").findall


def words_of(text: str) -> list[str] | None:
    r"""The words of a text in lower case, as `split("\W+")` without empty words; None if the text is filtered out."""
    if SKIP_MARK in text:
        return None
    words: list[str] = _words(text.lower())
    return words


def without_overlong(words: list[str]) -> list[str]:
    """The words that do not exceed the length limit."""
    return [word for word in words if len(word) <= MAX_WORD_CHARACTERS]
