"""Logs that grow, are cut and get company while somebody follows them."""

from pathlib import Path

import pytest

from newsroom_stack.processes import logfiles
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import StackSettings


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(logfiles, "LOG_LIMIT_BYTES", 10)


def test_a_line_is_given_when_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntw")
    with logfiles.Tail(log) as reader:
        assert list(reader.lines()) == ["one"]
        with log.open("ab") as writer:
            writer.write(b"o\nthree \xff\r\n")
        assert list(reader.lines()) == ["two", "three \ufffd"]
        assert reader.rest() == ""


def test_a_log_that_is_too_large_is_cut_under_its_writer_and_its_reader(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"short\n")
        logfiles.cut(log)
        assert log.read_bytes() == b"short\n"
        writer.write(b"and longer\n")
        lines = logfiles.follow(lambda: {"a": log})
        assert [next(lines), next(lines)] == [("a", "short"), ("a", "and longer")]
        logfiles.cut(log)
        writer.write(b"new\n")
        assert next(lines) == ("a", "new")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"short\nand longer\n"
    logfiles.cut(tmp_path / "none.log")


def test_who_follows_a_service_sees_replicas_that_come_later(tmp_path: Path) -> None:
    stack = ProcessStack(StackSettings(home=tmp_path))
    stack.layout.make()
    stack.layout.log("avro-consumer-1").write_text("first\nunfinished")
    stack.layout.log("connect").write_text("not asked for\n")
    assert list(stack.logs("avro-consumer")) == [("avro-consumer-1", "first"), ("avro-consumer-1", "unfinished")]
    lines = stack.logs("avro-consumer", follow=True)
    assert next(lines) == ("avro-consumer-1", "first")
    stack.layout.log("avro-consumer-2").write_text("second\n")
    assert next(lines) == ("avro-consumer-2", "second")
