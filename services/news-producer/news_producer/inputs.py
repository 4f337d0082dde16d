"""Files and standard input as sources: JSON lines, CSV with a header, or one text per line.

A source yields None instead of waiting for data, because a pipe may be silent for hours.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from news_producer.errors import BadInput
from news_producer.items import Item, text
from news_producer.settings import STDIN, InputFormat
from newsroom.errors import SettingsError
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = get_logger(__name__)

CHUNK_BYTES = 1 << 18
"""Size of one read: large enough that the cost of the calls does not matter."""

MAX_LINE_BYTES = 16 << 20
"""Far above the broker's largest record (1 MB), so anything longer is not a line of text."""

MAX_FIELD_CHARACTERS = csv.field_size_limit()
"""The csv module's own limit of a field (131,072). A row that grows longer while a quote is open has a stray quote,
which must not swallow the rest of the file."""

Fields = dict[str, Any]
"""The fields of one record: those of News, or `key` and `value`."""

Line = tuple[int, str]
"""The number of a line, from 1, and its text."""

ENDINGS: dict[str, InputFormat] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}


class BadLines:
    """Raises the error of a record that cannot be sent; with `skip`, logs and counts the error instead."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.skipped = 0

    def report(self, error: BadInput) -> None:
        """Raise the error of a bad record, or log and count it."""
        if not self._skip:
            raise error
        self.skipped += 1
        log.warning("bad input line skipped", reason=str(error))


def read_file(source: str, input_format: InputFormat, kind: str, bad: BadLines) -> Iterator[Item | None]:
    """Open a file or standard input (`-`) at once, and return an iterator over its items.

    `kind` (avro or string) decides how a line of plain text, or an object, becomes an item.

    Raises:
        SettingsError: the file cannot be read.
        BadInput: a line is bad, and `bad` does not skip it; the iterator raises this.
    """
    name = "standard input" if source == STDIN else source
    try:
        descriptor = sys.stdin.fileno() if source == STDIN else os.open(source, os.O_RDONLY)
        os.read(descriptor, 0)
    except OSError as error:
        raise SettingsError(f"source {name} cannot be read: {error.strerror}") from error
    file_format = ENDINGS.get(Path(source).suffix.lower(), "lines") if input_format == "auto" else input_format
    media = "stdin" if source == STDIN else Path(source).stem
    # In CSV, a blank line may be part of a quoted field.
    lines = read_lines(descriptor, name, bad, close=source != STDIN, blank=file_format == "csv")
    make_key = _article_key if kind == "avro" else _string_key
    if file_format == "csv":
        return _items(_csv_rows(lines, name, bad), _CsvParser(), make_key, name, bad)
    parse = _parse_json if file_format == "jsonl" else _text_parser(kind, media)
    return _items(lines, parse, make_key, name, bad)


def read_lines(
    descriptor: int, name: str, bad: BadLines, *, close: bool = True, blank: bool = False
) -> Iterator[Line | None]:
    """Yield lines with their numbers, and None while there is no data. `blank` keeps blank lines."""
    number, rest = 0, b""
    try:
        while True:
            if not select.select([descriptor], [], [], 0)[0]:
                yield None
                continue
            chunk = os.read(descriptor, CHUNK_BYTES)
            *lines, rest = (rest + chunk).split(b"\n")
            if not chunk and rest:
                lines, rest = [rest], b""
            for raw in lines:
                number += 1
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r")
                except UnicodeDecodeError as error:
                    bad.report(BadInput(f"{name}, line {number}: not valid UTF-8: {error.reason}"))
                    continue
                if blank or line.strip():
                    yield number, line
            if len(rest) > MAX_LINE_BYTES:
                raise BadInput(f"{name}, line {number + 1}: the line is longer than {MAX_LINE_BYTES >> 20} MiB")
            if not chunk:
                return
    finally:
        if close:
            os.close(descriptor)


def article_id(media: str, title: str) -> str:
    """Return an id for an article that has none; the same media and title always give the same id."""
    return hashlib.sha256(f"{media}\0{title}".encode(errors="replace")).hexdigest()[:16]


def _items(
    lines: Iterator[Line | None],
    parse: Callable[[str], Fields | None],
    make_key: Callable[[Fields], str | None],
    name: str,
    bad: BadLines,
) -> Iterator[Item | None]:
    """Yield an item for each line that has fields. The error of a bad line gets the line's place here."""
    for entry in lines:
        if entry is None:
            yield None
            continue
        number, line = entry
        try:
            fields = parse(line)
            if fields is None:
                continue
            key = make_key(fields)
        except BadInput as error:
            bad.report(BadInput(f"{name}, line {number}: {error}"))
            continue
        yield Item(key, fields, name, number)


def _article_key(fields: Fields) -> str:
    own_id = fields.get("id")
    return text(own_id) if own_id not in (None, "") else article_id(str(fields.get("media")), str(fields.get("title")))


def _string_key(fields: Fields) -> str | None:
    if "value" not in fields:
        raise BadInput("the field 'value' is missing; a record has 'key' and 'value'")
    key = fields.get("key")
    return None if key is None else text(key)


def _text_parser(kind: str, media: str) -> Callable[[str], Fields]:
    if kind == "avro":
        return lambda line: {"title": line, "media": media}
    return lambda line: {"value": line}


def _parse_json(line: str) -> Fields:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadInput(f"not a JSON object (got {type(fields).__name__})")
    return fields


class _CsvParser:
    """Parses the rows of one file. The first row is the header, which has no fields of its own."""

    def __init__(self) -> None:
        self._header: list[str] = []

    def __call__(self, row: str) -> Fields | None:
        try:
            columns = next(csv.reader([row], strict=True))
        except csv.Error as error:
            raise BadInput(f"not valid CSV: {error}") from error
        if not self._header:
            self._header = [column.strip() for column in columns]
            return None
        if len(columns) != len(self._header):
            raise BadInput(f"{len(columns)} columns, but the header has {len(self._header)}")
        return dict(zip(self._header, columns, strict=True))


def _csv_rows(lines: Iterator[Line | None], name: str, bad: BadLines) -> Iterator[Line | None]:
    """Yield rows of CSV. A line with an odd number of quotes opens or closes a field of several lines."""
    start, characters = 0, 0
    row: list[str] = []
    for entry in lines:
        if entry is None:
            yield None
            continue
        number, line = entry
        odd = line.count('"') % 2 == 1
        if not row and not odd:
            if line.strip():
                yield number, line
            continue
        if not row:
            start, characters = number, 0
        row.append(line)
        characters += len(line) + 1
        if odd and len(row) > 1:
            yield start, "\n".join(row)
            row = []
        elif characters > MAX_FIELD_CHARACTERS:
            lines_read = f"{name}, lines {start} to {number}"
            bad.report(
                BadInput(f"{lines_read}: a quote opens and does not close within {MAX_FIELD_CHARACTERS} characters")
            )
            row = []
    if row:
        bad.report(BadInput(f"{name}, line {start}: a quote opens and never closes"))
