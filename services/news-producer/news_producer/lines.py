"""Lines of files and pipes, and the fields that they become.

A source yields None instead of waiting for data, because a pipe may be silent for hours.
"""

from __future__ import annotations

import os
import select
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any, NamedTuple

from news_producer.errors import BadFile, BadInput
from news_producer.items import MALFORMED, TOO_LARGE, Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES = 1 << 18
"""Size of one read: large enough that the cost of the calls does not matter."""

MAX_LINE_BYTES = 16 << 20
"""Far above the largest record of any topic of ours (1 MB), so anything longer is not a line of text."""

Fields = dict[str, Any]
"""The fields of one record: those of News, or `key` and `value`."""

UTF_16 = "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8"

SHORTEST_HEAD = 4
"""Bytes that tell UTF-16 without a mark: every second one of Latin text is zero."""

FOREIGN = {
    b"\xff\xfe\0\0": "UTF-32 text: convert it with iconv -f UTF-32 -t UTF-8",
    b"\0\0\xfe\xff": "UTF-32 text: convert it with iconv -f UTF-32 -t UTF-8",
    b"\xff\xfe": UTF_16,
    b"\xfe\xff": UTF_16,
    b"\x1f\x8b": "compressed with gzip: pipe it through gunzip, to --source -",
    b"\xfd7zXZ\0": "compressed with xz: pipe it through unxz, to --source -",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: pipe it through unzstd, to --source -",
    b"PK\x03\x04": "a zip archive or a spreadsheet: save its content as CSV in UTF-8",
}
"""How files begin that are not UTF-8 text, and what to do about each."""


class Line(NamedTuple):
    """A line of a file."""

    number: int
    """From 1."""
    text: str


class Entry(NamedTuple):
    """The fields of a record, and its lines in its file."""

    line: int
    lines: int
    fields: Fields


class Wanted(NamedTuple):
    """The fields that the run's records take from an object or a row."""

    required: frozenset[str]
    optional: frozenset[str]


def read_lines(descriptor: int, name: str, *, close: bool = True, whole: bool = False) -> Iterator[Line | Skip | None]:
    r"""Yield lines with their numbers, and None while there is no data.

    `whole` keeps blank lines, and the carriage return of a line that ends with \r\n.

    Raises:
        BadFile: the first bytes are not those of UTF-8 text.
    """
    number, rest, newline = 0, b"", b""
    too_long = False
    for data in _chunks(descriptor, close=close):
        if data is None:
            yield None
            continue
        chunk = data
        if not newline:
            refuse_foreign(chunk, name)
            chunk = chunk.removeprefix(BOM_UTF8)
            # Old Macs ended their lines with a carriage return alone.
            newline = b"\r" if b"\n" not in chunk and b"\r" in chunk[:-1] else b"\n"
        *lines, rest = (rest + chunk).split(newline)
        for raw in lines:
            number += 1
            if too_long:  # this is its end; it is counted already
                too_long = False
            elif whole or raw.strip():
                yield _decoded(raw, number, name, whole=whole)
        if len(rest) > MAX_LINE_BYTES and not too_long:
            too_long = True
            yield _decoded(rest, number + 1, name, whole=whole)
        rest = b"" if too_long else rest
    if rest and (whole or rest.strip()):
        yield _decoded(rest, number + 1, name, whole=whole)


def _chunks(descriptor: int, *, close: bool) -> Iterator[bytes | None]:
    try:
        while True:
            if not select.select([descriptor], [], [], 0)[0]:
                yield None
            elif chunk := os.read(descriptor, CHUNK_BYTES):
                yield chunk
            else:
                return
    finally:
        if close:
            os.close(descriptor)


def refuse_foreign(head: bytes, name: str) -> None:
    """Do nothing if a file may be UTF-8 text.

    Raises:
        BadFile: it begins like a file that is not.
    """
    for mark, advice in FOREIGN.items():
        if head.startswith(mark):
            raise BadFile(f"{name} is {advice}")
    zeros = [place for place, byte in enumerate(head[:SHORTEST_HEAD]) if byte == 0]
    if len(head) >= SHORTEST_HEAD and zeros in ([0, 2], [1, 3]):
        raise BadFile(f"{name} is {UTF_16}")


def _decoded(raw: bytes, number: int, name: str, *, whole: bool) -> Line | Skip:
    if len(raw) > MAX_LINE_BYTES:
        problem = f"{name}, line {number}: the line is longer than {MAX_LINE_BYTES >> 20} MiB"
        return Skip(TOO_LARGE, problem, lines=1)
    try:
        line = raw.decode("utf-8-sig")  # joined files have a mark in their midst
    except UnicodeDecodeError as error:
        problem = f"not valid UTF-8: {error.reason} {raw[error.start]:#04x} at byte {error.start + 1}"
        return Skip(MALFORMED, f"{name}, line {number}: {problem}", lines=1)
    return Line(number, line if whole else line.removesuffix("\r"))


def parsed(
    lines: Iterator[Line | Skip | None], parse: Callable[[str], Fields], name: str
) -> Iterator[Entry | Skip | None]:
    """Yield the fields of each line."""
    for line in lines:
        if not isinstance(line, Line):
            yield line
            continue
        try:
            yield Entry(line.number, 1, parse(line.text))
        except BadInput as error:
            yield Skip(error.reason, f"{name}, line {line.number}: {error}", lines=1)
