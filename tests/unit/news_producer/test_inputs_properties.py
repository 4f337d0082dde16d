"""Files of any content: what is well-formed arrives as it was written, and the rest is a clear error or is counted."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from news_producer.errors import BadFile
from news_producer.inputs import STRINGS, read_file
from news_producer.items import Item, Skip
from news_producer.lines import Wanted
from news_producer.settings import InputFormat
from unit.news_producer.account import account_of

# A surrogate is not text, and a file of lines does not keep a lone carriage return.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=60)
FORMATS: tuple[InputFormat, ...] = ("jsonl", "csv", "lines")
ANY_NEWS = Wanted(frozenset(), frozenset({"id", "title", "media"}))

BYTES = st.binary(max_size=200)
LETTERS = st.text(st.sampled_from('"{},:\n\r\\ab1;\t'), max_size=200).map(str.encode)
NAMES = st.sampled_from(["id", "title", "media", "key", "value"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(NAMES, VALUES).map(json.dumps), max_size=8).map("\n".join).map(str.encode)
ROWS = st.lists(st.lists(st.text(st.sampled_from('ab"\n\r,'), max_size=4), max_size=4).map(",".join), max_size=8)
TABLES = ROWS.map(lambda rows: "\n".join(["id,title,media", *rows]).encode())


def entries_of(content: bytes, input_format: InputFormat, kind: str = "string") -> Iterator[Item | Skip | None]:
    descriptor, name = tempfile.mkstemp()
    try:
        os.write(descriptor, content)
        yield from read_file(name, input_format, kind, STRINGS if kind == "string" else ANY_NEWS)
    finally:
        os.close(descriptor)
        Path(name).unlink()


def pairs_of(content: bytes, input_format: InputFormat) -> list[tuple[str | None, object]]:
    entries = [entry for entry in entries_of(content, input_format) if entry is not None]
    return [(entry.key, entry.fields["value"]) if isinstance(entry, Item) else (None, entry) for entry in entries]


@given(st.lists(st.tuples(TEXT.filter(str.strip), TEXT)), st.sampled_from(",;\t|"), st.sampled_from(["", " ", "  "]))
@example([('"', "a\nb"), ('\n"', '""'), ("x", "")], ",", "")
@example([('"', "a\nb"), ('\n"', ' ""'), (" x, ", "")], ",", " ")
def test_csv_arrives_as_it_was_written(rows: list[tuple[str, str]], delimiter: str, space: str) -> None:
    lines = []
    for row in [("key", "value"), *rows]:
        columns = ['"{}"'.format(column.replace('"', '""')) for column in row]
        lines.append(f"{delimiter}{space}".join(columns) + "\n")
    assert pairs_of("".join(lines).encode(), "csv") == rows


@given(st.lists(st.tuples(TEXT, TEXT)), st.booleans())
def test_json_lines_arrive_as_they_were_written(rows: list[tuple[str, str]], ascii_only: bool) -> None:
    lines = (json.dumps({"key": key, "value": value}, ensure_ascii=ascii_only) + "\n" for key, value in rows)
    assert pairs_of("".join(lines).encode(), "jsonl") == rows


@settings(max_examples=60)
@pytest.mark.parametrize("kind", ["string", "avro"])
@pytest.mark.parametrize("input_format", FORMATS)
@given(content=BYTES | LETTERS | OBJECTS | TABLES)
@example(b'{"value":' * 900 + b"1" + b"}" * 900)
@example(b'{"title":' * 900 + b"1" + b"}" * 900)
@example(b'{"title":' + b"[" * 99_999)
@example(b'{"title": "\\ud800", "media": "\\udfff"}')
@example(b'{"value": 1' + b"0" * 5000 + b"}")
def test_any_bytes_are_sent_or_skipped_or_the_file_is_refused(
    input_format: InputFormat, kind: str, content: bytes
) -> None:
    try:
        records, ledger = account_of(entries_of(content, input_format, kind), kind)
    except BadFile:
        return
    lines = [line for line in content.replace(b"\r", b"\n").split(b"\n") if line.strip()]
    assert ledger.read <= len(lines)
    if input_format == "lines" and b"\r" not in content:
        assert ledger.read == len(lines)
    assert ledger.lost_lines >= ledger.skipped.total() - ledger.skipped["blank"] - ledger.skipped["header"]
    assert all(key is None or isinstance(key, bytes) for key, _ in records)
