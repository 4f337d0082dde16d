import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsroom_audit.errors import AuditError
from newsroom_audit.history import Sample, read_samples
from newsroom_audit.ledger import Entry, LedgerWriter, Outcome, read_ledger

BYTES = st.none() | st.binary(max_size=20)


def entry(number: int, **values: object) -> Entry:
    return Entry(f"r-{number}", number, "mytopic", b"k", b"v", 1.5, **values)  # type: ignore[arg-type]


def test_a_record_without_an_outcome_is_unknown_and_a_torn_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    written = entry(0, outcome=Outcome.ACKNOWLEDGED, partition=2, offset=7, settled=2.0)
    refused = entry(1, outcome=Outcome.FAILED, settled=2.5, reason="too large")
    with LedgerWriter(path, "r", seed=5) as ledger:
        for intended in (written, refused, entry(2, count=4)):
            ledger.intend(intended)
        ledger.settle(written)
        ledger.settle(refused)
    with path.open("a") as file:
        file.write('{"id": "r-2", "outcome": "ackno')
    book = read_ledger(path)
    assert (book.run, book.seed) == ("r", 5)
    assert list(book.entries.values()) == [written, refused, entry(2, count=4)]
    assert book.entries["r-2"].outcome is Outcome.UNKNOWN


@given(key=BYTES, value=BYTES)
def test_keys_and_values_of_any_bytes_come_back(
    tmp_path_factory: pytest.TempPathFactory, key: bytes | None, value: bytes | None
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    with LedgerWriter(path, "r") as ledger:
        ledger.intend(Entry("r-0", 0, "t", key, value))
    assert read_ledger(path).entries["r-0"] == Entry("r-0", 0, "t", key, value)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([{"id": "r-0"}], "is not a ledger of version 1"),
        ([], "is not a ledger of version 1"),
        ([{"ledger": 1, "run": "r"}, {"id": "r-0", "outcome": "acknowledged"}], "line 2 cannot be understood"),
        (
            [
                {"ledger": 1, "run": "r"},
                *[{"id": "r", "number": 0, "topic": "t", "key": "", "value": "", "sent": 1}] * 2,
            ],
            "line 3 .* is sent twice",
        ),
    ],
)
def test_what_is_not_a_ledger_is_refused(lines: list[object], problem: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(AuditError, match=problem):
        read_ledger(path)


def test_a_ledger_is_never_overwritten_and_a_missing_one_is_said(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with pytest.raises(AuditError, match="cannot be read: No such file"):
        read_ledger(path)
    LedgerWriter(path, "r").close()
    with pytest.raises(AuditError, match=r"ledger\.jsonl cannot be written: File exists; name a new file"):
        LedgerWriter(path, "r")


def test_samples_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    sample = Sample(12.5, {("group", "topic"): {0: 3, 1: 4}}, {"output": {0: 9}}, {"output": {0: 11}})
    path.write_text(sample.as_json() + "\n" + sample.as_json()[:20])
    assert read_samples(path) == [sample]
    path.write_text("[]\n")
    with pytest.raises(AuditError, match="is not a file of samples"):
        read_samples(path)
