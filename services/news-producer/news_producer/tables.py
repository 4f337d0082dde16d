"""CSV by its grammar (RFC 4180): a quote opens a field only at the field's start, and doubled quotes stand for one.

A quote that is opened and not closed as the grammar says costs its own line: the lines after it are read again.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from news_producer.errors import BadFile, BadInput
from news_producer.items import BLANK, HEADER, MALFORMED, Skip
from news_producer.lines import MAX_LINE_BYTES, Entry, Line
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from news_producer.lines import Wanted

log = get_logger(__name__)

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

SEPARATOR = re.compile(r'"?sep=([^"\w ])"?', re.IGNORECASE)
"""The line that tells spreadsheets the delimiter."""


class Dialect(NamedTuple):
    """How the columns of a table are written."""

    delimiter: str
    is_spaced: bool
    """Whether a space follows each delimiter and is not part of the column: `id, "title"`."""

    @classmethod
    def of(cls, header: str, delimiter: str) -> Dialect:
        """The dialect that a header shows."""
        return cls(delimiter, 0 < header.count(delimiter) == header.count(f"{delimiter} "))

    def columns(self, row: str) -> list[str]:
        """Return the columns of a row.

        Raises:
            BadInput: the row is not valid CSV.
        """
        if '"' not in row:
            columns = row.split(self.delimiter)
            return [column.lstrip(" ") for column in columns] if self.is_spaced else columns
        try:
            return next(csv.reader([row], delimiter=self.delimiter, skipinitialspace=self.is_spaced, strict=True))
        except csv.Error as error:
            # The module's own words ask a programmer to open the file in another mode.
            reason = "a carriage return stands outside quotes" if "new-line" in str(error) else error
            raise BadInput(f"not valid CSV: {reason}") from error


def read_table(
    lines: Iterator[Line | Skip | None], name: str, wanted: Wanted, delimiter: str | None = None
) -> Iterator[Entry | Skip | None]:
    """Yield the fields of each row. The first row is the header, which has no fields of its own.

    Without `delimiter`, it is the one under which the header has the most columns that are wanted.

    Raises:
        BadFile: the header lacks a column that is required, or has one twice.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    for line in lines:
        if not isinstance(line, Line):
            yield line
        elif match := SEPARATOR.fullmatch(line.text.strip()):
            delimiter = match[1]
        elif line.text.strip():
            dialect = Dialect.of(line.text, delimiter) if delimiter else _guess(line.text, wanted)
            rows = _Rows(chain([line], lines), name, dialect)
            yield from _entries(rows, name, wanted)


def _entries(rows: _Rows, name: str, wanted: Wanted) -> Iterator[Entry | Skip | None]:
    header: list[str] = []
    for row in rows:
        if not isinstance(row, _Row):
            yield row
        elif not row.text.strip(" "):
            continue
        elif header:
            yield _entry(row, rows.dialect, header, name)
        else:
            header = _header(row, rows.dialect, name, wanted)
            log.info("header read", source=name, columns=header, delimiter=rows.dialect.delimiter)


END = Skip("")
"""Stands for the end of the lines."""

INSIDE = re.compile(r'[^"]*(?:""[^"]*)*')
"""What stands between the quotes of a field."""


class _Row(NamedTuple):
    line: int
    lines: int
    text: str


def _entry(row: _Row, dialect: Dialect, header: Sequence[str], name: str) -> Entry | Skip:
    number, lines, text = row
    try:
        columns = dialect.columns(text)
    except BadInput as error:
        return Skip(MALFORMED, f"{name}, line {number}: {error}", lines=lines)
    if not any(map(str.strip, columns)):
        return Skip(BLANK, lines=lines)
    if columns[0] == header[0] and [column.strip() for column in columns] == header:
        return Skip(HEADER, lines=lines)
    if len(columns) != len(header):
        problem = f"{len(columns)} columns, but the header has {len(header)} ({', '.join(header)})"
        return Skip(MALFORMED, f"{name}, line {number}: {problem}", lines=lines)
    return Entry(number, lines, dict(zip(header, columns, strict=True)))


def _header(row: _Row, dialect: Dialect, name: str, wanted: Wanted) -> list[str]:
    place = f"{name}, line {row.line}"
    try:
        header = [column.strip() for column in dialect.columns(row.text)]
    except BadInput as error:
        raise BadFile(f"{place}: the header is {error}") from error
    delimiter = dialect.delimiter
    as_read = (
        f"the header was read as {', '.join(map(repr, header))}, separated by {DELIMITERS.get(delimiter, delimiter)}"
    )
    if missing := sorted(wanted.required - set(header)):
        raise BadFile(f"{place}: the header lacks {' and '.join(missing)}: {as_read}{_look(row.text, delimiter)}")
    twice = sorted(column for column in wanted.required | wanted.optional if header.count(column) > 1)
    if twice:
        raise BadFile(f"{place}: the header has {' and '.join(twice)} twice: {as_read}")
    return header


def _look(header: str, delimiter: str) -> str:
    """What the header looks like, if it looks like another delimiter."""
    likely = max(DELIMITERS, key=header.count)
    return f"; it looks like {DELIMITERS[likely]}" if header.count(likely) > header.count(delimiter) else ""


def _guess(header: str, wanted: Wanted) -> Dialect:
    names = wanted.required | wanted.optional

    def fit(dialect: Dialect) -> int:
        try:
            return len(names.intersection(column.strip() for column in dialect.columns(header)))
        except BadInput:
            return 0

    return max(
        (Dialect.of(header, delimiter) for delimiter in DELIMITERS), key=fit
    )  # the first of equals, which is the comma


class _Rows:
    """Joins lines to rows. An iterator."""

    def __init__(self, lines: Iterator[Line | Skip | None], name: str, dialect: Dialect) -> None:
        self._lines = lines
        self._name = name
        self._again: deque[Line | Skip | None] = deque()
        """What is read again, because the row that had taken it is bad."""
        self.dialect = dialect
        end, spaces = re.escape(dialect.delimiter), " *+" if dialect.is_spaced else ""
        field = f'{spaces}(?:"[^"]*+(?:""[^"]*+)*+"|(?!")[^{end}]*+)'
        self._gap = re.compile(spaces)
        self._whole = re.compile(f"(?:{field}{end})*+{field}")
        """A row of one line: fields in quotes or without, and the delimiters between them."""

    def __iter__(self) -> Iterator[_Row | Skip | None]:
        row: list[Line] = []
        size = 0
        while True:
            line = self._again.popleft() if self._again else next(self._lines, END)
            if line is None:
                yield None
                continue
            problem = "a quote opens and never closes"
            if isinstance(line, Line):
                size = size + len(line.text) if row else 0
                try:
                    is_open = self._is_open_after(line, inside=bool(row), size=size)
                except BadInput as error:
                    problem = str(error)
                else:
                    row.append(line)
                    if not is_open:
                        text = line.text if len(row) == 1 else "\n".join([part.text for part in row])
                        yield _Row(row[0].number, len(row), text.removesuffix("\r"))
                        row = []
                    continue
            if row:
                # Its first line is lost. The others may be rows of their own.
                yield self._bad(row[0], problem)
                self._again.extendleft(reversed([*row[1:], line]))
                row = []
            elif line is END:
                return
            else:
                yield line if isinstance(line, Skip) else self._bad(line, problem)

    def _bad(self, line: Line, problem: str) -> Skip:
        return Skip(MALFORMED, f"{self._name}, line {line.number}: {problem}", lines=1)

    def _is_open_after(self, line: Line, *, inside: bool, size: int) -> bool:
        """Whether a quoted field is open at the end of a line that begins `inside` one of `size` characters.

        Raises:
            BadInput: the field is too large, or goes on after the quote that closes it.
        """
        if size > MAX_LINE_BYTES:
            raise BadInput(f"a quote opens and does not close within {MAX_LINE_BYTES >> 20} MiB")
        text, place, delimiter = line.text.removesuffix("\r"), 0, self.dialect.delimiter
        if not inside and self._whole.fullmatch(text):  # most rows
            return False
        while True:
            if not inside:
                place = self._gap.match(text, place).end()  # type: ignore[union-attr]  # as below
                if text.startswith('"', place):
                    place += 1
                elif (place := text.find(delimiter, place) + 1) > 0:
                    continue
                else:
                    return False
            if (place := INSIDE.match(text, place).end()) == len(text):  # type: ignore[union-attr]  # matches anything
                return True
            place += 1
            if place == len(text):
                return False
            if text[place] != delimiter:
                raise BadInput(f"not valid CSV: a quote closes at column {place} of line {line.number}, within a field")
            place, inside = place + 1, False
