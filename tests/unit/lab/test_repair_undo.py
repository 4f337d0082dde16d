"""What a fault has made is taken away from its notes alone, the last first."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from newsroom_lab.cli import main
from newsroom_lab.repair import site as place
from newsroom_lab.repair.fault import fault_of
from newsroom_lab.repair.memory import Memory
from newsroom_lab.repair.site import Site
from newsroom_lab.repair.undo import LOCAL, UNDO
from newsroom_stack.cli.opening import open_stack
from newsroom_stack.errors import StackError
from newsroom_stack.processes.runfile import mark_of, same_process


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEWSROOM_HOME", str(tmp_path))
    monkeypatch.delenv("NEWSROOM_DOCKER", raising=False)
    return tmp_path


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process.pid
    process.kill()
    process.wait(10)


def site_with(home: Path, **notes: str) -> Site:
    memory = Memory.begin(home, "quiet-file")
    for name, value in notes.items():
        memory = memory.note(home, name.replace("_", " "), value)
    return Site(open_stack(), memory)


def test_the_last_note_is_undone_first_and_the_others_after_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone = []

    def undo(_: Site, note: str, value: str) -> str:
        undone.append((note, value))
        if note == "group b":
            raise StackError("it has members")
        return ""

    monkeypatch.setattr(place, "undo", undo)
    with pytest.raises(StackError, match=r"group b: it has members: run 'newsroom lab heal' again"):
        site_with(home, topic_a="", group_b="", program_1="mark").heal()
    assert undone == [("program 1", "mark"), ("group b", ""), ("topic a", "")]


@pytest.mark.parametrize("error", [KeyError("connector"), ValueError("no JSON"), TypeError("a list")])
def test_an_answer_that_lacks_something_is_an_error_for_the_reader(error: Exception) -> None:
    def ask() -> None:
        raise error

    with pytest.raises(StackError, match=r"an answer is not as expected \(\w+: ."):
        place.spoken(ask)


def test_a_program_is_ended_and_another_one_with_its_pid_is_not(home: Path, sleeper: int) -> None:
    mark = mark_of(sleeper)
    strange = site_with(home, **{f"program_{sleeper}": "another mark"})
    assert strange.heal() == []
    assert same_process(sleeper, mark)
    Memory.forget(home)
    ours = site_with(home, **{f"program_{sleeper}": mark})
    assert ours.heal() == [f"ended the program with pid {sleeper}"]
    assert not same_process(sleeper, mark)
    assert ours.heal() == []


@pytest.mark.parametrize("later", [True, False])
def test_a_part_that_is_late_is_waited_for_and_one_that_does_not_start_says_why(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, later: bool
) -> None:
    looks: list[bool] = []

    def ps(_: object) -> list[Any]:
        looks.append(later and len(looks) > 1)
        return [SimpleNamespace(name="kafka-3", ready=looks[-1])]

    def restart(*_: object) -> None:
        raise StackError("kafka-3 ended with exit code 1: Address already in use")

    kind = type(open_stack())
    monkeypatch.setattr(kind, "ps", ps)
    monkeypatch.setattr(kind, "restart", restart)
    monkeypatch.setattr("newsroom_lab.repair.undo.RESTART_SECONDS", 1.0)
    site = site_with(home, **{"part_kafka-3": ""})
    if later:
        assert site.heal() == ["started kafka-3"]
    else:
        with pytest.raises(StackError, match=r"part kafka-3: kafka-3 does not start .*Address already in use"):
            site.heal()


def test_a_topic_is_deleted_while_the_broker_is_eligible_under_the_old_minimum(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    away = False

    def kill(*_: object) -> None:
        nonlocal away
        away = True
        done.append("kill")

    def settle(what: str) -> Future[None]:
        done.append(what)
        answer: Future[None] = Future()
        answer.set_result(None)
        return answer

    def alter(resources: list[Any]) -> dict[Any, Future[None]]:
        (entry,) = resources[0].incremental_configs
        return {resources[0]: settle(f"{entry.name}={entry.value}")}

    def delete(topics: list[str]) -> dict[str, Future[None]]:
        return {topic: settle(f"delete {topic}") for topic in topics}

    site = site_with(home, eligible_t="kafka-3")
    admin = SimpleNamespace(
        list_topics=lambda **_: SimpleNamespace(brokers=[1, 2, 3], topics={}),
        incremental_alter_configs=alter,
        delete_topics=delete,
    )
    kind = type(site.stack)
    monkeypatch.setattr(site, "_admin", admin)
    monkeypatch.setattr(site, "in_sync", lambda _: 2 if away else 3)
    monkeypatch.setattr(kind, "kill", kill)
    monkeypatch.setattr(kind, "ps", lambda _: [SimpleNamespace(name="kafka-3", ready=not away)])
    monkeypatch.setattr(kind, "restart", lambda _, name: done.append(f"start {name}"))
    assert site.heal() == ["deleted topic t while kafka-3 was away"]
    assert done == ["min.insync.replicas=3", "kill", "delete t", "start kafka-3"]


def test_an_unknown_kind_is_named(home: Path) -> None:
    with pytest.raises(StackError, match="noted 'dragon x'"):
        site_with(home, dragon_x="").heal()


def test_without_a_stack_heal_ends_the_programs_and_keeps_the_fault(
    home: Path, sleeper: int, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = mark_of(sleeper)
    site_with(home, topic_a="", **{f"program_{sleeper}": mark})
    assert main(["heal"]) == 1
    assert "no stack runs: its programs were ended" in capsys.readouterr().err
    assert not same_process(sleeper, mark)
    assert Memory.read(home) is not None


def test_the_hints_come_one_after_the_other(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Memory.begin(home, "quiet-file").marked(home, whole=True)
    said = []
    for _ in range(4):
        assert main(["hint"]) == 0
        said.append(" ".join(capsys.readouterr().out.split()))
    heads = [text.partition(":")[0] for text in said]
    assert heads == [f"quiet-file, hint {number} of 3" for number in (1, 2, 3, 3)]
    assert fault_of("quiet-file").hints[2] in said[2]
    assert "docs/lab-repair.md" in said[2]
    assert "docs/lab-repair.md" not in said[1]


@pytest.mark.parametrize("command", ["check", "hint"])
def test_a_fault_that_is_set_in_part_is_not_judged(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(type(open_stack()), "running", lambda _: True)
    Memory.begin(home, "quiet-file")
    assert main([command]) == 1
    output = capsys.readouterr()
    assert "quiet-file is set in part only: 'newsroom lab heal' takes it back" in " ".join(output.err.split())
    assert "PASS" not in output.out


def test_a_fault_that_heal_has_begun_to_take_back_is_not_judged(home: Path, sleeper: int) -> None:
    Memory.begin(home, "quiet-file").note(home, f"program {sleeper}", "another mark").marked(home, whole=True)
    assert main(["heal"]) == 1  # no stack runs
    memory = Memory.read(home)
    assert memory is not None
    assert not memory.whole


def test_the_list_names_the_fault_that_is_set(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Memory.begin(home, "hot-partition")
    assert main(["break"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "hot-partition is set"


def test_a_fault_that_fails_in_the_middle_can_be_healed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def half(site: Site) -> None:
        site.note("topic", "repair-orders")
        raise TimeoutError("the broker does not answer")

    fault = fault_of("quiet-file")
    monkeypatch.setattr(type(open_stack()), "running", lambda _: True)
    broken: Any = {**fault.__dict__, "set": half}
    monkeypatch.setattr("newsroom_lab.repair.commands.fault_of", lambda _: type(fault)(**broken))
    assert main(["break", "1"]) == 1
    assert "quiet-file is set in part only: 'newsroom lab heal'" in " ".join(capsys.readouterr().err.split())
    assert Memory.read(home) == Memory("quiet-file", {"topic repair-orders": ""})


def test_what_needs_no_cluster_is_a_part_of_all() -> None:
    assert set(UNDO) > LOCAL
