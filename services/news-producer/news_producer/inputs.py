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
from news_producer.records import Item, text
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
    if file_format == "lines":
        return _plain_items(lines, name, kind, media)
    objects = _json_objects(lines, name, bad) if file_format == "jsonl" else _csv_objects(lines, name, bad)
    make = _article if kind == "avro" else _string
    return _object_items(objects, name, make, bad)


def read_lines(
    descriptor: int, name: str, bad: BadLines, *, close: bool = True, blank: bool = False
) -> Iterator[tuple[int, str] | None]:
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


def _plain_items(lines: Iterator[tuple[int, str] | None], name: str, kind: str, media: str) -> Iterator[Item | None]:
    for entry in lines:
        if entry is None:
            yield None
        elif kind == "avro":
            number, line = entry
            yield Item(article_id(media, line), {"title": line, "media": media}, name, number)
        else:
            yield Item(None, {"value": entry[1]}, name, entry[0])


def _object_items(
    objects: Iterator[tuple[int, dict[str, Any]] | None],
    name: str,
    make: Callable[[dict[str, Any], str, int], Item],
    bad: BadLines,
) -> Iterator[Item | None]:
    for entry in objects:
        if entry is None:
            yield None
            continue
        number, fields = entry
        try:
            item = make(fields, name, number)
        except BadInput as error:
            bad.report(error)
            continue
        yield item


def _article(fields: dict[str, Any], name: str, number: int) -> Item:
    own_id = fields.get("id")
    key = text(own_id) if own_id not in (None, "") else article_id(str(fields.get("media")), str(fields.get("title")))
    return Item(key, fields, name, number)


def _string(fields: dict[str, Any], name: str, number: int) -> Item:
    if "value" not in fields:
        raise BadInput(f"{name}, line {number}: the field 'value' is missing; a record has 'key' and 'value'")
    key = fields.get("key")
    return Item(None if key is None else text(key), fields, name, number)


def _json_objects(
    lines: Iterator[tuple[int, str] | None], name: str, bad: BadLines
) -> Iterator[tuple[int, dict[str, Any]] | None]:
    for entry in lines:
        if entry is None:
            yield None
            continue
        number, line = entry
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad.report(BadInput(f"{name}, line {number}: not valid JSON: {error}"))
            continue
        if isinstance(fields, dict):
            yield number, fields
        else:
            bad.report(BadInput(f"{name}, line {number}: not a JSON object (got {type(fields).__name__})"))


def _csv_objects(
    lines: Iterator[tuple[int, str] | None], name: str, bad: BadLines
) -> Iterator[tuple[int, dict[str, Any]] | None]:
    header: list[str] = []
    for entry in _quoted_together(lines, name, bad):
        if entry is None:
            yield None
            continue
        number, row = entry
        try:
            columns = next(csv.reader([row], strict=True))
        except csv.Error as error:
            bad.report(BadInput(f"{name}, line {number}: not valid CSV: {error}"))
            continue
        if not header:
            header = [column.strip() for column in columns]
        elif len(columns) == len(header):
            yield number, dict(zip(header, columns, strict=True))
        else:
            bad.report(BadInput(f"{name}, line {number}: {len(columns)} columns, but the header has {len(header)}"))


def _quoted_together(
    lines: Iterator[tuple[int, str] | None], name: str, bad: BadLines
) -> Iterator[tuple[int, str] | None]:
    """Yield rows of CSV. A line with an odd number of quotes opens or closes a field of several lines."""
    start, characters = 0, 0
    row: list[str] = []
    for entry in lines:
        if entry is None:
            yield None
            continue
        number, line = entry
        odd = line.count('"') % 2 == 1
        if not row:
            if not odd:
                if line.strip():
                    yield number, line
                continue
            start, characters = number, 0
        row.append(line)
        characters += len(line) + 1
        if odd and len(row) > 1:
            yield start, "\n".join(row)
            row = []
        elif characters > MAX_FIELD_CHARACTERS:
            bad.report(
                BadInput(
                    f"{name}, lines {start} to {number}: a quote opens and does not close within "
                    f"{MAX_FIELD_CHARACTERS} characters"
                )
            )
            row = []
    if row:
        bad.report(BadInput(f"{name}, line {start}: a quote opens and never closes"))
