"""What the word count must count: the lab's rules, written a second time so that the judge shares no code."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from newsroom_audit.history import Record, Topic

SKIP_MARK = "filter"
LONGEST_WORD = 1000

JOINERS = frozenset("\u200c\u200d")
"""Zero-width joiners belong to a word if one of its characters follows."""


class Input(NamedTuple):
    """A record of an input topic and its words."""

    record: Record
    words: tuple[str, ...]


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text that are counted; none if the text contains the skip mark."""
    if SKIP_MARK in text:
        return ()
    words = re.findall(r"\w+", text.lower()) if text.isascii() else _words_of_any_script(text)
    return tuple(word for word in words if len(word) <= LONGEST_WORD)


def _words_of_any_script(text: str) -> list[str]:
    """Letters, digits and underscores, each with the combining marks and joiners between them, in NFC."""
    words, word = [], ""
    for character in unicodedata.normalize("NFC", text.lower()):
        starts = character.isalnum() or character == "_"
        if starts or (word and (character in JOINERS or unicodedata.category(character) in {"Mn", "Mc"})):
            word += character
        elif word:
            words.append(word)
            word = ""
    words.append(word)
    return [ended for ended in (word.rstrip("".join(JOINERS)) for word in words) if ended]


def text_of(record: Record) -> str | None:
    """The value as text; None for a tombstone and for bytes that are not UTF-8."""
    try:
        return None if record.value is None else record.value.decode()
    except UnicodeDecodeError:
        return None


def read_inputs(
    topics: Iterable[Topic], readers: Mapping[str, Callable[[Record], str | None]] | None = None
) -> list[Input]:
    """The records of the input topics with their words; `readers` names what is not plain text, by topic."""
    return list(_inputs(topics, readers or {}))


def _inputs(topics: Iterable[Topic], readers: Mapping[str, Callable[[Record], str | None]]) -> Iterator[Input]:
    for topic in topics:
        read = readers.get(topic.name, text_of)
        for record in topic.records:
            text = read(record)
            yield Input(record, () if text is None else words_of(text))
