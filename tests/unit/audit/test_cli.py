"""The commands of newsroom-audit, around a judge that is tested elsewhere."""

import json
import sys
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from newsroom.errors import DecodeError
from newsroom.schemas.avro import AvroRecord
from newsroom.schemas.registry import registry_client
from newsroom.settings import KafkaSettings
from newsroom.topics import DeclaredTopic
from newsroom.waiting import StopFlag
from newsroom_audit import cli, load
from newsroom_audit.findings import Finding, Kind
from newsroom_audit.history import Record
from newsroom_audit.judge import Case
from newsroom_audit.ledger import read_ledger
from newsroom_audit.report import Report
from support.cluster import MockCluster


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["newsroom-audit", *arguments])
    monkeypatch.setattr(StopFlag, "install", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """What the judge is given; it finds one lost record when there is a ledger."""
    given: list[Case] = []

    def judge(_: object, case: Case, __: object) -> Report:
        given.append(case)
        report = Report(produced=2, verified=1, seeds=(7,))
        report.add("a check", [Finding(Kind.LOST, "it is gone", "t", 0, 1)] if case.ledgers else [])
        return report

    monkeypatch.setattr(cli, "judge", judge)
    return given


def test_a_clean_audit_ends_with_zero_and_one_line(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "judge", "--bootstrap-servers", "127.0.0.1:9") == 0
    assert capsys.readouterr().out == (
        "audit: ok - records 2 produced, 1 verified · lost 0 · duplicated 0 · ghosts 0 · order breaks 0 · "
        "wrong counts 0 · wrong joins 0 · commit-ahead 0 · seed 7\n"
    )
    assert cases == [Case(ledgers=[], samples=[], sinks=[], faults=[])]


def test_every_option_reaches_the_judge_and_a_finding_ends_with_one(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / name for name in ("ledger", "faults", "service.log", "consumed-0.jsonl")}
    files["ledger"].write_text('{"ledger": 1, "run": "r", "seed": 1}\n')
    files["faults"].write_text('{"name": "kill", "start": 1, "end": 2}\n')
    files["consumed-0.jsonl"].touch()
    options = ["--ledger", str(files["ledger"]), "--faults", str(files["faults"]), "--log", str(files["service.log"])]
    options += ["--sink", str(tmp_path), "--exclusive", "mytopic", "--compacted", "--patience", "5", "--json"]
    assert run(monkeypatch, "judge", "--bootstrap-servers", "127.0.0.1:9", *options) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["wrong"]["lost"], report["seeds"]) == (False, 1, [7])
    assert report["findings"] == [{"kind": "lost", "sentence": "it is gone", "topic": "t", "partition": 0, "offset": 1}]
    (case,) = cases
    assert (case.exclusive, case.compacted, case.patience) == (frozenset({"mytopic"}), True, 5.0)
    assert (case.sinks, [fault.name for fault in case.faults]) == ([files["consumed-0.jsonl"]], ["kill"])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--ledger", "missing"], "missing cannot be read: No such file"),
        (["--sink", "."], "has no sink file"),
        (["--faults", "faults"], "faults line 1 is not a fault with name, start and end"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence_and_exit_code_two(
    arguments: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("faults").write_text("[]\n", encoding="utf-8")
    assert run(monkeypatch, "judge", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("newsroom-audit: ")
    assert problem in error
    assert error.count("\n") == 1


def test_incomplete_connection_settings_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEWSROOM_SECURITY_PROTOCOL", "SASL_SSL")
    assert run(monkeypatch, "judge") == 2
    assert "the connection are not complete: security protocol SASL_SSL needs" in capsys.readouterr().err


def test_load_sends_and_keeps_a_ledger(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, path = cluster.topic(), tmp_path / "ledger.jsonl"
    options = ("--bootstrap-servers", cluster.address, "--topic", topic, "--count", "10", "--rate", "0")
    assert run(monkeypatch, "load", "--ledger", str(path), *options) == 0
    assert capsys.readouterr().err == f"10 sent, 10 acknowledged, 0 failed: {path}\n"
    assert len(read_ledger(path).of(topic)) == 10


def test_news_are_decoded_and_poison_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Decoder:
        def __init__(self, _: object, **__: object) -> None:
            pass

        def decode(self, data: bytes | None) -> AvroRecord:
            if data == b"bad":
                raise DecodeError("bad")
            return AvroRecord("newsroom.News", {"title": str(data)})

    monkeypatch.setattr(cli, "AvroDecoder", Decoder)
    decode = cli.news_decoder(registry_client(KafkaSettings(registry_url="mock://audit")))
    assert decode(Record("news", 0, 0, value=b"x")) == {"title": "b'x'"}
    assert decode(Record("news", 0, 1, value=b"bad")) is None


def test_a_load_of_news_has_the_wire_format(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    topic, path = cluster.topic(), tmp_path / "ledger.jsonl"
    monkeypatch.setattr(cli, "NEWS", DeclaredTopic(topic, 1))
    monkeypatch.setattr(load, "NEWS", DeclaredTopic(topic, 1))
    options = ("--bootstrap-servers", cluster.address, "--registry-url", "mock://audit-load")
    assert run(monkeypatch, "load", "--ledger", str(path), *options, "--topic", topic, "--count", "3") == 0
    ledger = read_ledger(path)
    values = [entry.value or b"" for entry in ledger.of(topic)]
    assert [value[0] for value in values] == [0, 0, 0]
    assert all(f"Audit n{ledger.run}x{number}".encode() in value for number, value in enumerate(values))


def test_a_client_that_refuses_its_settings_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG, "no such mechanism"))

    monkeypatch.setattr(cli, "ClusterReader", refuse)
    assert run(monkeypatch, "judge") == 2
    assert capsys.readouterr().err == "newsroom-audit: the Kafka client cannot go on: no such mechanism\n"
