"""Files and standard input as sources: JSON lines, CSV with a header, or one text a line.

A source yields None when nothing has come yet, so that nobody waits inside of it: a pipe may be silent for hours.
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
"""Read at once: large enough that the calls do not count."""

MAX_LINE_BYTES = 16 << 20
"""Far above the broker's largest record (1 MB): what is longer is no line of text."""

MAX_FIELD_CHARACTERS = csv.field_size_limit()
"""The csv module's own limit of a field (131,072). A row that grows longer while a quote is open is taken for one with
a stray quote, and not for the rest of the file."""

ENDINGS: dict[str, InputFormat] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}


class BadLines:
    """What happens to a record that cannot be sent: an error, or with `skip` a warning and a count."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.skipped = 0

    def report(self, error: BadInput) -> None:
        """Count a bad record, or raise its error."""
        if not self._skip:
            raise error
        self.skipped += 1
        log.warning("bad input line skipped", reason=str(error))


def read_file(source: str, input_format: InputFormat, kind: str, bad: BadLines) -> Iterator[Item | None]:
    """The items of a file or of standard input (`-`); the file is opened at once.

    `kind` is avro or string: what a line of plain text, or an object, stands for.

    Raises:
        SettingsError: the file cannot be read.
        BadInput: a line is wrong, unless `bad` skips it; raised by the iterator.
    """
    name = "standard input" if source == STDIN else source
    try:
        descriptor = sys.stdin.fileno() if source == STDIN else os.open(source, os.O_RDONLY)
        os.read(descriptor, 0)
    except OSError as error:
        raise SettingsError(f"source {name} cannot be read: {error.strerror}") from error
    chosen = ENDINGS.get(Path(source).suffix.lower(), "lines") if input_format == "auto" else input_format
    media = "stdin" if source == STDIN else Path(source).stem
    # A blank line may be part of a quoted field.
    lines = read_lines(descriptor, name, bad, close=source != STDIN, blank=chosen == "csv")
    if chosen == "lines":
        return _plain_items(lines, name, kind, media)
    objects = _json_objects(lines, name, bad) if chosen == "jsonl" else _csv_objects(lines, name, bad)
    make = _article if kind == "avro" else _string
    return _object_items(objects, name, make, bad)


def read_lines(
    descriptor: int, name: str, bad: BadLines, *, close: bool = True, blank: bool = False
) -> Iterator[tuple[int, str] | None]:
    """Numbered lines, those that are blank only if asked for; None when nothing has come yet."""
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
                    bad.report(BadInput(f"{name}, line {number}: no UTF-8 text: {error.reason}"))
                    continue
                if blank or line.strip():
                    yield number, line
            if len(rest) > MAX_LINE_BYTES:
                raise BadInput(f"{name}, line {number + 1}: longer than {MAX_LINE_BYTES >> 20} MiB: no text of lines")
            if not chunk:
                return
    finally:
        if close:
            os.close(descriptor)


def article_id(media: str, title: str) -> str:
    """An id for an article that has none: the same article gets the same one, wherever it is read."""
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
    given = fields.get("id")
    key = text(given) if given not in (None, "") else article_id(str(fields.get("media")), str(fields.get("title")))
    return Item(key, fields, name, number)


def _string(fields: dict[str, Any], name: str, number: int) -> Item:
    if "value" not in fields:
        raise BadInput(f"{name}, line {number}: there is no field 'value'; a record has 'key' and 'value'")
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
            bad.report(BadInput(f"{name}, line {number}: no JSON: {error}"))
            continue
        if isinstance(fields, dict):
            yield number, fields
        else:
            bad.report(BadInput(f"{name}, line {number}: a JSON object is needed, got {type(fields).__name__}"))


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
            bad.report(BadInput(f"{name}, line {number}: no CSV: {error}"))
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
    """Rows of CSV: a quoted field may go over several lines, which leaves an odd number of quotes in between."""
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
                    f"{name}, lines {start} to {number}: a quote is opened and not closed within "
                    f"{MAX_FIELD_CHARACTERS} characters"
                )
            )
            row = []
    if row:
        bad.report(BadInput(f"{name}, line {start}: a quote is opened and never closed"))
