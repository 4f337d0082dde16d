"""What the word count must count: the lab's rules, written a second time so that the judge shares no code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from newsroom_audit.history import Record, Topic

SKIP_MARK = "filter"
LONGEST_WORD = 1000

_word = re.compile(r"\w+")


class Input(NamedTuple):
    """A record of an input topic and its words."""

    record: Record
    words: tuple[str, ...]


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text that are counted; none if the text contains the skip mark."""
    if SKIP_MARK in text:
        return ()
    return tuple(word for word in _word.findall(text.lower()) if len(word) <= LONGEST_WORD)


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
