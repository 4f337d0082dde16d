"""Files and pipes of every format: items, their places, and what is wrong with a line."""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from news_producer.errors import BadFile, BadInput
from news_producer.inputs import STRINGS, read_file
from news_producer.items import BLANK, HEADER, MALFORMED, TOO_LARGE, Item, Skip
from news_producer.lines import MAX_LINE_BYTES, Line, Wanted, read_lines
from newsroom.errors import SettingsError
from unit.news_producer.account import account_of

NEWS = Wanted(frozenset({"title", "media"}), frozenset({"id", "title", "media"}))


def entries_of(path: Path, kind: str = "avro") -> list[Item | Skip]:
    wanted = NEWS if kind == "avro" else STRINGS
    return [entry for entry in read_file(str(path), "auto", kind, wanted) if entry is not None]


def items_of(path: Path, kind: str = "avro") -> list[Item]:
    """The items of a file without a bad line."""
    entries = entries_of(path, kind)
    items = [entry for entry in entries if isinstance(entry, Item)]
    assert len(items) == len(entries), entries
    return items


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


def titles(path: Path) -> list[str]:
    return [item.fields["title"] for item in items_of(path)]


def test_jsonl_csv_and_lines(tmp_path: Path) -> None:
    jsonl = written(tmp_path / "a.jsonl", '{"id": 5, "title": "A", "media": "M"}\n\n{"title": "B", "media": "M"}')
    table = written(tmp_path / "a.csv", '\ufeffid,title,media\r\n7,"A, ""b""\nc",M\r\n')
    lines = written(tmp_path / "wire.txt", "First title\nSecond title\r\n")
    first, second = items_of(jsonl)
    assert (first.key, second.line, len(second.key or "")) == ("5", 3, 16)
    (row,) = items_of(table)
    assert (row.key, row.fields["title"], row.line, row.lines) == ("7", 'A, "b"\nc', 2, 2)
    assert [dict(item.fields) for item in items_of(lines)] == [
        {"title": "First title", "media": "wire"},
        {"title": "Second title", "media": "wire"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"value": "x"}\n{oops\n{"value": "y"}\n', "line 2: not valid JSON"),
        ("a.jsonl", b'{"value": "x"}\n[1]\n{"value": "y"}\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"value": "x"}\n{"key": "k"}\n{"value": "y"}\n', "line 2: the field 'value' is missing"),
        (
            "a.jsonl",
            b'{"value": 1}\n{"value": NaN}\n{"value": 2}\n',
            "line 2: not valid JSON: NaN is not a JSON number",
        ),
        ("a.jsonl", b'{"value": 1}\n{"value": -Infinity}\n{"value": 2}\n', "line 2: not valid JSON: -Infinity"),
        ("a.jsonl", b'{"value":1}\n{"value":2,"value":3}\n{"value":4}', "line 2: an object has the name 'value' twice"),
        ("a.jsonl", b'{"value":1}\n{"value":"\\ud83d"}\n{"value":4}', "line 2: the text cannot be encoded as UTF-8"),
        ("a.jsonl", b'{"value":1}\n{"value":2}{"value":3}\n{"value":4}', "line 2: not valid JSON: Extra data"),
        ("a.jsonl", b'{"value":1}\n' + b'{"value":' * 5000 + b'\n{"value":4}', "line 2: not valid JSON: .*recursion"),
        ("a.csv", b"value,b\nx,1\ny\nz,1\n", r"line 3: 1 columns, but the header has 2 \(value, b\)"),
        ("a.csv", b'value\nx\ny\n"z\n', "line 4: a quote opens and never closes"),
        ("a.csv", b'value,b\nx,1\n"12" pipe,2\ny,3\n', "line 3: not valid CSV: a quote closes at column 4 of line 3"),
        ("a.txt", b"x\n\xff\ny\n", "line 2: not valid UTF-8: invalid start byte 0xff at byte 1"),
    ],
)
def test_bad_lines_end_with_their_place_or_are_skipped(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as raised:
        account_of(entries_of(path, "string"), "string", skip=False)
    assert raised.value.exit_code == 1
    assert str(path) in str(raised.value)
    records, ledger = account_of(entries_of(path, "string"), "string", skip=True)
    assert (len(records), ledger.skipped.total(), ledger.lost_lines) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '[\n {"title": "A"}\n]', r"a.json is a JSON array, not one object a line: .*jq -c '\.\[\]'"),
        ("a.json", '[{"title": "A"}, {"title": "B"}]\n', "is a JSON array"),
        ("a.json", '{\n "title": "A"\n}', r"is a JSON object of several lines, .*: convert it with jq -c \."),
        ("a.json", '{ "title": "A",\n "media": "B" }', "is a JSON object of several lines"),
        ("a.csv", "1,Bridge,Post\n", "line 1: the header lacks media and title: .* read as '1', 'Bridge', 'Post', sep"),
        (
            "a.csv",
            "Titel\tMedium\n",
            r"lacks media and title: .* read as 'Titel\\tMedium', .*commas; it looks like tabs",
        ),
        (
            "a.csv",
            "id;titel;media\n",
            "lacks title: the header was read as 'id', 'titel', 'media', separated by semicol",
        ),
        ("a.csv", "id,title,title,media\n", "the header has title twice"),
        ("a.csv", "id,title,media".encode("utf-16").decode("latin-1"), "UTF-16 text: convert it with iconv"),
        ("a.txt", "A title".encode("utf-16-le").decode("latin-1"), "UTF-16 text"),
        ("a.txt", "A title".encode("utf-16-be").decode("latin-1"), "UTF-16 text"),
        ("a.txt", "A title".encode("utf-32").decode("latin-1"), "UTF-32 text"),
        ("a.jsonl.gz", "\x1f\x8b\x08\0\0\0", "compressed with gzip: pipe it through gunzip, to --source -"),
        ("a.csv", "PK\x03\x04\x14\0", "a zip archive or a spreadsheet"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_a_whole(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadFile, match=message) as raised:
        account_of(read_file(str(path), "auto", "avro", NEWS), "avro", skip=True)
    assert str(path) in str(raised.value)


def test_a_comma_after_an_object_is_a_bad_line_and_not_a_pretty_printed_object(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"value": {"n": 1}},\n{"value": 2}\n')
    bad, good = entries_of(path, "string")
    assert isinstance(bad, Skip)
    assert (bad.reason, good.line) == (MALFORMED, 2)  # type: ignore[union-attr]
    assert "line 1: not valid JSON: Extra data" in bad.problem


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id;title;media\n1;Harbour, late;M\n2;Market;M"),
        ("a.csv", '"id";"title";"media"\r\n"1";"Harbour, late";"M"\r\n2;Market;M\r\n'),
        ("a.csv", "sep=;\nid;title;media\n1;Harbour, late;M\n2;Market;M"),
        ("a.tsv", "id\ttitle\tmedia\n1\tHarbour, late\tM\n2\tMarket\tM"),
        ("a.csv", "title\tmedia\tmore; of, it\nHarbour, late\tM\t\nMarket\tM\t"),
        ("a.csv", "title|media\nHarbour, late|M\nMarket|M"),
        ("a.csv", 'sep=,\rid,title,media\r1,"Harbour, late",M\r2,Market,M\r'),
        ("a.csv", 'id, title, media\n1, "Harbour, late", M\n2, Market,M'),
        ("a.csv", '"id", "title", "media"\r\n"1", "Harbour, late", "M"\r\n 2,Market, M\r\n'),
    ],
)
def test_tables_of_other_delimiters_and_line_ends_are_read(tmp_path: Path, name: str, content: str) -> None:
    assert titles(written(tmp_path / name, content)) == ["Harbour, late", "Market"]


def test_a_space_after_a_delimiter_is_part_of_the_column_unless_the_header_has_it_everywhere(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'title,media, id\n Tram,M,1\n "Rain" falls,M,2\n')
    assert titles(path) == [" Tram", ' "Rain" falls']


def test_a_quote_within_a_field_is_a_letter(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv", 'id,title,media\n1,Pipe 5" opens,A\n2,Tram,B\n3,Valve 12" closes,C\n4,"6"" nail",D\n'
    )
    assert titles(path) == ['Pipe 5" opens', "Tram", 'Valve 12" closes', '6" nail']


def test_a_quoted_field_keeps_its_blank_lines_and_line_ends(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'key,value\n\na,"one\n\n  \r\ntwo"\r\n\nb,"x"\n')
    assert [(item.key, item.fields["value"], item.line) for item in items_of(path, "string")] == [
        ("a", "one\n\n  \r\ntwo", 3),
        ("b", "x", 8),
    ]


@pytest.mark.parametrize("after", ["", 'x,1\n"12" nail,1\n'])
def test_a_quote_that_never_closes_costs_its_own_line(tmp_path: Path, after: str) -> None:
    rows = "".join(f"k{number},text\n" for number in range(1000))
    path = written(tmp_path / "a.csv", f'key,value\nopen,"never closed\n{rows}{after}')
    entries = entries_of(path, "string")
    assert [item.key for item in entries if isinstance(item, Item)][:1000] == [f"k{number}" for number in range(1000)]
    bad = [entry for entry in entries if isinstance(entry, Skip)]
    assert [(skip.reason, skip.lines) for skip in bad] == [(MALFORMED, 1)] * (1 + after.count('"12'))
    assert bad[0].problem.startswith(f"{path}, line 2: ")


def test_a_field_may_be_as_large_as_a_record_and_a_line_that_is_larger_is_skipped(tmp_path: Path) -> None:
    large = "x y " * 250_000
    path = written(tmp_path / "a.csv", f'title,media\n"{large}",M\n{large},M\n{"z" * MAX_LINE_BYTES}zz,M\nlast,M\n')
    entries = entries_of(path)
    assert [len(item.fields["title"]) for item in entries if isinstance(item, Item)] == [len(large), len(large), 4]
    (bad,) = [entry for entry in entries if isinstance(entry, Skip)]
    assert (bad.reason, bad.lines, bad.problem) == (TOO_LARGE, 1, f"{path}, line 4: the line is longer than 16 MiB")


def test_a_row_without_text_is_no_record_and_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "title,media\nA,M\n,\n ,\nB,M\n\n")
    records, ledger = account_of(entries_of(path), "avro", skip=False)
    assert (len(records), ledger.read, ledger.skipped[BLANK], ledger.lost_lines) == (2, 4, 2, 0)


def test_joined_files_have_marks_and_headers_in_their_midst(tmp_path: Path) -> None:
    one = "\ufeffid,title,media\r\n1,A,M\r\n"
    records, ledger = account_of(entries_of(written(tmp_path / "a.csv", 3 * one)), "avro", skip=False)
    assert [key for key, _ in records] == [b"1", b"1", b"1"]
    assert (+ledger.skipped, ledger.lost_lines) == ({HEADER: 2}, 0)
    lines = written(tmp_path / "a.jsonl", 2 * '\ufeff{"title": "A", "media": "M"}\n')
    assert titles(lines) == ["A", "A"]
    assert account_of(entries_of(written(tmp_path / "empty.csv", "\ufeff")), "avro", skip=False)[1].read == 0


def test_json_text_sequences_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '\x1e{"title": "A", "media": "M"}\n\x1e{"title": "B", "media": "M"}\n')
    assert titles(path) == ["A", "B"]


def test_the_sentence_about_a_record_does_not_quote_all_of_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", f'{{"title": ["{"x" * 100_000}"], "media": "M"}}\n')
    with pytest.raises(BadInput, match=r"line 1: record \{'title': ") as raised:
        account_of(entries_of(path), "avro", skip=False)
    assert len(str(raised.value)) < 2000


def test_a_row_of_many_lines_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "\n" * 100_000
    rows: list[object] = []
    reader = csv.reader

    def count(lines: list[str], **options: Any) -> object:  # noqa: ANN401
        rows.extend(lines)
        return reader(lines, **options)

    monkeypatch.setattr("news_producer.tables.csv.reader", count)
    path = written(tmp_path / "a.csv", f'key,value\na,"{long}"\nb,"{long}"\n')
    assert [item.fields["value"] for item in items_of(path, "string")] == [long, long]
    assert len(rows) == 2


def test_a_number_keeps_its_own_text(tmp_path: Path) -> None:
    numbers = ["1.10", "1e5", "-0", "-0.0", "12345678901234567890123", "0.1000000000000000055511", "9" * 5000, "1e999"]
    lines = [f'{{"key": {number}, "value": {{"n": [{number}, true, "é"]}}}}\n' for number in numbers]
    path = written(tmp_path / "a.jsonl", "".join(lines))
    assert account_of(items_of(path, "string"), "string")[0] == [
        (number.encode(), f'{{"n": [{number}, true, "é"]}}'.encode()) for number in numbers
    ]


def test_an_articles_id_may_be_a_number_but_not_one_beyond_a_double(tmp_path: Path) -> None:
    line = '{"id": %s, "title": "T", "media": "M"}\n'
    path = written(tmp_path / "a.jsonl", "".join(line % number for number in ("1.10", "1e999", "7")))
    first, bad, last = entries_of(path)
    assert isinstance(first, Item)
    assert isinstance(last, Item)
    assert isinstance(bad, Skip)
    assert (first.key, last.key) == ("1.10", "7")
    assert bad.problem == f"{path}, line 2: the number 1e999 is too large for a double"


def test_a_unicode_line_separator_does_not_end_a_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"title": "A\u2028B\u0085C", "media": "M"}\n')
    assert titles(path) == ["A\u2028B\u0085C"]


def test_a_missing_file_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.txt cannot be read: No such file or directory$"):
        entries_of(tmp_path / "none.txt")
    with pytest.raises(SettingsError, match=r"a,b\.txt cannot be read: No such file.*; for several sources repeat --s"):
        entries_of(tmp_path / "a,b.txt")


def test_a_closed_standard_input_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SettingsError, match="source standard input cannot be read: it is closed"):
        read_file("-", "auto", "string", STRINGS)


def test_a_silent_pipe_gives_none_instead_of_waiting() -> None:
    reader, writer = os.pipe()
    lines = read_lines(reader, "pipe")
    assert next(lines) is None
    os.write(writer, b"one\ntw")
    assert next(lines) == Line(1, "one")
    assert next(lines) is None
    os.write(writer, b"o")
    os.close(writer)
    assert list(lines) == [Line(2, "two")]
