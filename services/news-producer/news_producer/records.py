"""What is sent: items as the sources give them, and their keys and values as they go to the topic. No Kafka here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from news_producer.errors import BadInput
from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from newsroom.schemas.avro import AvroEncoder

LAB_LAST_KEY = 20
"""The lab sends key0 to key20, each twice: 42 records a round."""


class Item(NamedTuple):
    """One record of a source: its own key, and its fields (News, or `value` for strings)."""

    key: str | None
    fields: Mapping[str, Any]
    origin: str
    """Where it came from, for error messages: a source, or a file."""
    line: int = 0
    """Its line in a file, from 1; 0 for other sources."""

    def place(self) -> str:
        """The origin as messages name it."""
        return f"{self.origin}, line {self.line}" if self.line else self.origin


Encoded = tuple[bytes | None, bytes | None]
"""Key and value as they are produced; a value of None is a tombstone."""


def lab_items(rounds: int) -> Iterator[Item]:
    """The lab's strings: for each key `value$i`, then `filter$i`."""
    for _ in range(rounds):
        for number in range(LAB_LAST_KEY + 1):
            for word in ("value", "filter"):
                yield Item(f"key{number}", {"value": f"{word}{number}"}, "lab")


def key_policy(choice: str, fixed_key: str) -> Callable[[Item], bytes | None]:
    """How keys are made: `own`, `none` or `fixed`."""
    if choice == "none":
        return lambda _: None
    if choice == "fixed":
        fixed = fixed_key.encode()
        return lambda _: fixed
    return _own_key


def _own_key(item: Item) -> bytes | None:
    return None if item.key is None else item.key.encode()


class AvroRecords:
    """Turns items into Avro records of one schema; fields that the schema lacks are left out."""

    def __init__(self, schema: Mapping[str, Any], encoder: AvroEncoder, key: Callable[[Item], bytes | None]) -> None:
        self._names = {field["name"] for field in schema["fields"]}
        self._required = {field["name"] for field in schema["fields"] if "default" not in field}
        self._encode = encoder.encode
        self._key = key

    def encode(self, item: Item) -> Encoded:
        """Key and value of an item.

        Raises:
            BadInput: a field that the schema requires is missing, or one has the wrong type.
        """
        fields = item.fields
        if not fields.keys() <= self._names:
            fields = {name: value for name, value in fields.items() if name in self._names}
        try:
            return self._key(item), self._encode(fields)
        except (SettingsError, UnicodeEncodeError) as error:
            missing = sorted(self._required - fields.keys())
            reason = f"the schema requires {', '.join(missing)}, which the source does not give" if missing else error
            raise BadInput(f"{item.place()}: {reason}") from error


class StringRecords:
    """Turns items into strings: the field `value`, or the title of an article."""

    def __init__(self, key: Callable[[Item], bytes | None]) -> None:
        self._key = key

    def encode(self, item: Item) -> Encoded:
        """Key and value of an item; null is a tombstone.

        Raises:
            BadInput: the item has neither a value nor a title, or it is no valid text.
        """
        fields = item.fields
        try:
            value = fields["value"] if "value" in fields else fields["title"]
            return self._key(item), None if value is None else text(value).encode()
        except KeyError as error:
            raise BadInput(f"{item.place()}: there is no field 'value'") from error
        except UnicodeEncodeError as error:
            raise BadInput(f"{item.place()}: the text cannot be written as UTF-8: {error.reason}") from error


def text(value: object) -> str:
    """A value of JSON as text: strings as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
