"""Files and pipes of every format: items, their places, and what is wrong with a line."""

import csv
import os
from pathlib import Path

import pytest

from news_producer.errors import BadInput
from news_producer.inputs import BadLines, read_file, read_lines
from news_producer.items import Item
from newsroom.errors import SettingsError


def items_of(path: Path, kind: str = "avro", *, skip: bool = False) -> tuple[list[Item], BadLines]:
    bad = BadLines(skip=skip)
    return [item for item in read_file(str(path), "auto", kind, bad) if item], bad


def test_jsonl_csv_and_lines(tmp_path: Path) -> None:
    jsonl, table, lines = tmp_path / "a.jsonl", tmp_path / "a.csv", tmp_path / "wire.txt"
    jsonl.write_text('{"id": 5, "title": "A", "media": "M"}\n\n{"title": "B", "media": "M"}')
    table.write_text('\ufeffid,title,media\r\n7,"A, ""b""\nc",M\r\n')
    lines.write_text("First title\nSecond title\n")
    first, second = items_of(jsonl)[0]
    assert (first.key, second.line, len(second.key or "")) == ("5", 3, 16)
    (row,) = items_of(table)[0]
    assert (row.key, row.fields["title"], row.line) == ("7", 'A, "b"\nc', 2)
    assert [dict(item.fields) for item in items_of(lines)[0]] == [
        {"title": "First title", "media": "wire"},
        {"title": "Second title", "media": "wire"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"value": "x"}\n{oops\n{"value": "y"}\n', "line 2: not valid JSON"),
        ("a.jsonl", b'{"value": "x"}\n[1]\n{"value": "y"}\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"value": "x"}\n{"key": "k"}\n{"value": "y"}\n', "line 2: the field 'value' is missing"),
        ("a.csv", b"value,b\nx,1\ny\nz,1\n", "line 3: 1 columns, but the header has 2"),
        ("a.csv", b'value\nx\ny\n"z\n', "line 4: a quote opens and never closes"),
        ("a.txt", b"x\n\xff\ny\n", "line 2: not valid UTF-8"),
    ],
)
def test_bad_lines_end_with_their_place_or_are_skipped(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as raised:
        items_of(path, "string")
    assert raised.value.exit_code == 1
    assert str(path) in str(raised.value)
    items, bad = items_of(path, "string", skip=True)
    assert (len(items), bad.skipped) == (2, 1)


def test_a_quoted_field_keeps_its_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('key,value\n\na,"one\n\n  \ntwo"\n\nb,"x"\n')
    assert [(item.key, item.fields["value"], item.line) for item in items_of(path, "string")[0]] == [
        ("a", "one\n\n  \ntwo", 3),
        ("b", "x", 8),
    ]


def test_a_quote_that_is_never_closed_ends_at_the_longest_field_and_the_rows_after_it_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"k{number},some text of a row\n" for number in range(20_000)]
    path.write_text("key,value\n" + 'open,"never closed\n' + "".join(rows))
    with pytest.raises(BadInput, match=r"lines 2 to \d+: a quote opens and does not close within 131072 characters"):
        items_of(path, "string")
    items, bad = items_of(path, "string", skip=True)
    assert bad.skipped == 1
    assert items[-1].key == "k19999"
    assert sum(len(row) for row in rows) - sum(len(f"{i.key},{i.fields['value']}\n") for i in items) <= 131_072


def test_a_row_of_many_lines_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    long = "\n" * 100_000
    parsed: list[object] = []
    reader = csv.reader

    def count(rows: list[str], *, strict: bool) -> object:
        parsed.extend(rows)
        return reader(rows, strict=strict)

    monkeypatch.setattr("news_producer.inputs.csv.reader", count)
    path.write_text(f'key,value\na,"{long}"\nb,"{long}"\n')
    assert [item.fields["value"] for item in items_of(path, "string")[0]] == [long, long]
    assert len(parsed) == 3


def test_a_missing_file_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.txt cannot be read: No such file"):
        items_of(tmp_path / "none.txt")


def test_a_silent_pipe_gives_none_instead_of_waiting() -> None:
    reader, writer = os.pipe()
    lines = read_lines(reader, "pipe", BadLines(skip=False))
    assert next(lines) is None
    os.write(writer, b"one\ntw")
    assert next(lines) == (1, "one")
    assert next(lines) is None
    os.write(writer, b"o")
    os.close(writer)
    assert list(lines) == [(2, "two")]
