"""Files of any content: what is well-formed arrives as it was written, and the rest is a clear error or is counted."""

import csv
import io
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from news_producer.inputs import BadLines, read_file
from news_producer.items import Item
from news_producer.settings import InputFormat

# A surrogate is not text, and a file of lines does not keep a lone carriage return.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=60)
FORMATS: tuple[InputFormat, ...] = ("jsonl", "csv", "lines")


def items_of(content: bytes, input_format: InputFormat, bad: BadLines) -> list[Item]:
    descriptor, name = tempfile.mkstemp()
    try:
        os.write(descriptor, content)
        return [item for item in read_file(name, input_format, "string", bad) if item is not None]
    finally:
        os.close(descriptor)
        Path(name).unlink()


@given(st.lists(st.tuples(TEXT, TEXT)))
@example([('"', "a\nb"), ("\n", '""'), ("", "")])
def test_csv_arrives_as_it_was_written(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("key", "value"), *rows])
    items = items_of(file.getvalue().encode(), "csv", BadLines(skip=False))
    assert [(item.key, item.fields["value"]) for item in items] == rows


@given(st.lists(st.tuples(TEXT, TEXT)), st.booleans())
def test_json_lines_arrive_as_they_were_written(rows: list[tuple[str, str]], ascii_only: bool) -> None:
    lines = (json.dumps({"key": key, "value": value}, ensure_ascii=ascii_only) + "\n" for key, value in rows)
    items = items_of("".join(lines).encode(), "jsonl", BadLines(skip=False))
    assert [(item.key, item.fields["value"]) for item in items] == rows


@pytest.mark.parametrize("input_format", FORMATS)
@given(content=st.binary() | st.text(st.sampled_from('"{},:\n\\ab1')).map(str.encode))
def test_any_bytes_are_items_or_counted_as_bad(input_format: InputFormat, content: bytes) -> None:
    bad = BadLines(skip=True)
    items = items_of(content, input_format, bad)
    assert len(items) + bad.skipped <= content.count(b"\n") + 1
