"""Items from the sources, and how an item becomes the key and value of a record. No Kafka here."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from news_producer.errors import BadInput
from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from newsroom.schemas.avro import AvroEncoder

LONGEST_REASON = 1000
"""Characters of a sentence about a record, which may quote all of it."""

LAB_LAST_KEY = 20
"""The lab sends each of key0 to key20 twice, which makes 42 records per round."""


HOT_SHARE = 0.8
"""The share of records with the hot key of `--key skewed`."""

SEEN = "seen"
"""A feed showed the entry before."""
REPEATED = "repeated"
"""The entry stands twice in one document."""
BLANK = "blank"
"""A row of a table without any text."""
HEADER = "header"
"""A row of a table that repeats the header, as in joined files."""
UNTITLED = "untitled"
"""An entry of a feed with neither a title nor a description."""
INCOMPLETE = "incomplete"
"""The last entry of a document that ends too early; the next poll may show all of it."""
MALFORMED = "malformed"
"""The entry is not in the form of its source: not valid JSON, CSV or UTF-8."""
UNFIT = "unfit"
"""The entry does not fit the schema, or lacks a field."""
TOO_LARGE = "too_large"
"""The record would exceed what its topic takes."""
UNSENT = "unsent"
"""The run ended before the entry could be sent."""


class Item(NamedTuple):
    """One entry of a source: its own key and its fields (those of News, or `value` for strings)."""

    key: str | None
    fields: Mapping[str, Any]
    origin: str
    """The item's source or file, for error messages."""
    line: int = 0
    """The item's line in its file, from 1; 0 for other sources."""
    lines: int = 0
    """The number of lines that it takes there."""

    def place(self) -> str:
        """Return the origin and the line as error messages show them."""
        return f"{self.origin}, line {self.line}" if self.line else self.origin


class Skip(NamedTuple):
    """Entries of a source that become no records, and why."""

    reason: str
    problem: str = ""
    """The sentence for the log; empty if nothing is wrong with the entries."""
    entries: int = 1
    lines: int = 0
    """The lines of a file that are lost; 0 for other sources."""


Encoded = tuple[bytes | None, bytes | None]
"""Key and value of a record as bytes; a record whose value is None is a tombstone."""


def lab_items(rounds: int) -> Iterator[Item]:
    """Yield the lab's strings: for each key `value$i`, then `filter$i`."""
    for _ in range(rounds):
        for number in range(LAB_LAST_KEY + 1):
            for word in ("value", "filter"):
                yield Item(f"key{number}", {"value": f"{word}{number}"}, "lab")


def key_policy(choice: str, fixed_key: str, seed: int | None = None) -> Callable[[Item], bytes | None]:
    """Return the function that makes a record's key: `own`, `none`, `fixed` or `skewed`."""
    if choice == "skewed":
        draw = Random(seed)  # noqa: S311 - a lab's keys, not a secret
        return lambda _: skewed_key(draw)
    if choice == "none":
        return lambda _: None
    if choice == "fixed":
        fixed = fixed_key.encode()
        return lambda _: fixed
    return lambda item: None if item.key is None else item.key.encode()


def skewed_key(draw: Random) -> bytes:
    """One of the lab's keys: four of five records have `key0`, so one partition gets most of them."""
    return b"key0" if draw.random() < HOT_SHARE else b"key%d" % draw.randint(1, LAB_LAST_KEY)


class AvroRecords:
    """Turns items into Avro records of one schema, and drops fields that the schema does not have."""

    def __init__(self, schema: Mapping[str, Any], encoder: AvroEncoder, key: Callable[[Item], bytes | None]) -> None:
        self._names = {field["name"] for field in schema["fields"]}
        self._required = {field["name"] for field in schema["fields"] if "default" not in field}
        self._encode = encoder.encode
        self._key = key

    def encode(self, item: Item) -> Encoded:
        """Return key and value of an item.

        Raises:
            BadInput: a field that the schema requires is missing, or a field has the wrong type.
        """
        fields = item.fields
        if not fields.keys() <= self._names:
            fields = {name: value for name, value in fields.items() if name in self._names}
        try:
            return self._key(item), self._encode(fields)
        except (SettingsError, UnicodeEncodeError, RecursionError) as error:
            missing = sorted(self._required - fields.keys())
            reason = f"the schema requires {', '.join(missing)}, which the record lacks" if missing else error
            raise BadInput(str(reason)[:LONGEST_REASON], UNFIT) from error


class StringRecords:
    """Turns items into strings: the field `value`, or the title of an article."""

    def __init__(self, key: Callable[[Item], bytes | None]) -> None:
        self._key = key

    def encode(self, item: Item) -> Encoded:
        """Return key and value of an item; a null value makes a tombstone.

        Raises:
            BadInput: the item has neither a value nor a title, or its text is not valid UTF-8.
        """
        fields = item.fields
        try:
            value = fields["value"] if "value" in fields else fields["title"]
            return self._key(item), None if value is None else text(value).encode()
        except KeyError as error:
            raise BadInput("the field 'value' is missing", UNFIT) from error
        except UnicodeEncodeError as error:
            raise BadInput(f"the text cannot be encoded as UTF-8: {error.reason}", UNFIT) from error


class Number(float):
    """A JSON number that keeps its own text: 1.10 is not 1.1, and -0 is not 0."""

    def __new__(cls, text: str) -> Self:
        """Read a number."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


def text(value: object) -> str:
    """Return a string as it is, and any other JSON value as JSON text.

    Raises:
        BadInput: the value is nested too deeply.
    """
    try:
        return value if isinstance(value, str) else _json(value)
    except RecursionError as error:
        raise BadInput("its value is nested too deeply") from error


def _json(value: object) -> str:
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name, ensure_ascii=False)}: {_json(inner)}" for name, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    return json.dumps(value, ensure_ascii=False)
