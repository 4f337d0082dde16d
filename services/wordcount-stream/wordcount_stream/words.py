"""What counts as a word: the lab's rules, for every script."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SKIP_MARK = "filter"
"""The words of a text that contains this are not counted."""

MAX_WORD_CHARACTERS = 1000
"""A longer "word" is not a word (base64, a line of underscores). As a record's key it could exceed the broker's limit
(1 MB), and the service would stop at that record after every restart."""

MOST_GROWTH = 4
"""How much longer a text may become: lower case and NFC turn one character into three at most, here and there."""

BLOCKS = (range(0x300, 0x20000), range(0xE0100, 0xE01F0))
"""Where Unicode has combining marks. To look at all of its code points would take a tenth of a second."""

MARKS = [code for block in BLOCKS for code in block if unicodedata.category(chr(code)) in {"Mn", "Mc"}]
r"""Combining marks: accents, and the vowel signs of Indic, Thai, Arabic and Hebrew script. To Python and to
`\w`, they are not letters."""

JOINERS = "\u200c\u200d"
"""Zero-width joiners stand inside words of Persian and Indic script."""

_LAST_OF_PLANE_0 = 0xFFFF
_ALL = "".join(map(chr, MARKS))
_OF_PLANE_0 = "".join(chr(code) for code in MARKS if code <= _LAST_OF_PLANE_0)


def _finder(marks: str) -> Callable[[str], list[str]]:
    return re.compile(rf"\w[\w{marks}]*(?:[{JOINERS}]+[\w{marks}]+)*").findall


_simple_words: Callable[[str], list[str]] = re.compile(r"\w+").findall
# Python looks up a character of plane 0 in a table, but compares one of the others with range after range.
_words = _finder(_OF_PLANE_0)
_words_of_all_planes = _finder(_ALL)
_has_marks = re.compile(f"[{_OF_PLANE_0}{JOINERS}]").search
# Emoji are outside: they lie between the scripts of plane 1 and the variation selectors.
_has_other_scripts = re.compile("[\U00010000-\U0001efff\U000e0100-\U000e01ef]").search


def words_of(text: str) -> list[str] | None:
    r"""The words of a text in lower case and in NFC; None if the text is filtered out.

    A word is what `\w+` finds, and the combining marks and joiners behind or between its characters.
    """
    if SKIP_MARK in text:
        return None
    if text.isascii():
        return _simple_words(text.lower())
    # In this order: lower case may separate an accent from its letter.
    text = unicodedata.normalize("NFC", text.lower())
    if _has_other_scripts(text):
        return _words_of_all_planes(text)
    return _words(text) if _has_marks(text) else _simple_words(text)


def without_overlong(words: list[str]) -> list[str]:
    """The words that do not exceed the length limit."""
    return [word for word in words if len(word) <= MAX_WORD_CHARACTERS]
