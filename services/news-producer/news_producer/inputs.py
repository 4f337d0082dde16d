"""Files and standard input as sources: JSON lines, CSV with a header, or one text per line."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from news_producer.errors import BadInput
from news_producer.items import UNFIT, Item, Skip, text
from news_producer.json_lines import json_parser
from news_producer.lines import Entry, Wanted, parsed, read_lines
from news_producer.settings import STDIN, InputFormat
from news_producer.tables import read_table
from newsroom.addresses import masked
from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from news_producer.lines import Fields

ENDINGS: dict[str, InputFormat] = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
}

STRINGS = Wanted(frozenset({"value"}), frozenset({"key"}))
"""The fields of records that are strings."""


def read_file(source: str, input_format: InputFormat, kind: str, wanted: Wanted) -> Iterator[Item | Skip | None]:
    """Open a file or standard input (`-`) at once, and return an iterator over its items and bad lines.

    `kind` (avro or string) decides how a line of plain text, or an object, becomes an item.

    Raises:
        SettingsError: the file cannot be read.
        BadFile: the whole file is not what it should be; the iterator raises this.
    """
    name = "standard input" if source == STDIN else masked(source)
    descriptor = _open(source, name)
    path = Path(source)
    file_format = ENDINGS.get(path.suffix.lower(), "lines") if input_format == "auto" else input_format
    media = "stdin" if source == STDIN else path.stem
    # In CSV, a blank line may be part of a quoted field.
    lines = read_lines(descriptor, name, close=source != STDIN, whole=file_format == "csv")
    make_key = _article_key if kind == "avro" else _string_key
    if file_format == "csv":
        entries = read_table(lines, name, wanted, delimiter="\t" if path.suffix.lower() == ".tsv" else None)
    elif file_format == "jsonl":
        entries = parsed(lines, json_parser(name, finite=kind == "avro"), name)
    else:
        entries = parsed(lines, _text_parser(kind, media), name)
    return _items(entries, make_key, name)


def _open(source: str, name: str) -> int:
    try:
        if source != STDIN:
            descriptor = os.open(source, os.O_RDONLY)
        elif sys.stdin is None:
            raise SettingsError(f"source {name} cannot be read: it is closed")
        else:
            descriptor = sys.stdin.fileno()
        os.read(descriptor, 0)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        hint = "; for several sources repeat --source" if "," in source else ""
        hint = "; a feed's address begins with http:// or https://" if "://" in source else hint
        raise SettingsError(f"source {name} cannot be read: {reason}{hint}") from error
    return descriptor


def article_id(media: str, title: str) -> str:
    """Return an id for an article that has none; the same media and title always give the same id."""
    return hashlib.sha256(f"{media}\0{title}".encode(errors="replace")).hexdigest()[:16]


def _items(
    entries: Iterator[Entry | Skip | None], make_key: Callable[[Fields], str | None], name: str
) -> Iterator[Item | Skip | None]:
    for entry in entries:
        if not isinstance(entry, Entry):
            yield entry
            continue
        try:
            key = make_key(entry.fields)
        except BadInput as error:
            yield Skip(error.reason, f"{name}, line {entry.line}: {error}", lines=entry.lines)
        else:
            yield Item(key, entry.fields, name, entry.line, entry.lines)


def _article_key(fields: Fields) -> str:
    own_id = fields.get("id")
    return text(own_id) if own_id not in (None, "") else article_id(str(fields.get("media")), str(fields.get("title")))


def _string_key(fields: Fields) -> str | None:
    if "value" not in fields:
        raise BadInput("the field 'value' is missing; a record has 'key' and 'value'", UNFIT)
    key = fields.get("key")
    return None if key is None else text(key)


def _text_parser(kind: str, media: str) -> Callable[[str], Fields]:
    if kind == "avro":
        return lambda line: {"title": line, "media": media}
    return lambda line: {"value": line}
