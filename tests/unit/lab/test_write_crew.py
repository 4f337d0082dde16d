"""The members of a program under trial, with real processes and without Kafka."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsroom_lab.programs import ProgramFailed
from newsroom_lab.write.crew import Crew
from support.waiting import wait_for

STAYS = "import os, time; print(os.environ['LAB_MEMBER'], os.environ['LAB_STATE'], flush=True); time.sleep(60)"


class Members:
    """A crew of a Python program, and what it noted."""

    def __init__(self, program: str, folder: Path) -> None:
        self.notes: list[str] = []
        self.crew = Crew((sys.executable, "-c", program), dict(os.environ), folder, self.notes.append)


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    made = Members(STAYS, tmp_path)
    yield made
    made.crew.abandon()


def test_a_member_that_is_started_again_keeps_its_number_and_its_folder(members: Members, tmp_path: Path) -> None:
    crew = members.crew
    crew.start(1)
    wait_for("its line", lambda: len(crew.lines()) == 1, 10)
    crew.kill(1)
    crew.start(1)
    wait_for("its second line", lambda: len(crew.lines()) == 2, 10)
    assert crew.lines() == [f"1 {tmp_path / 'member-1'}"] * 2
    assert (crew.numbers, crew.deaths) == ([1], [])


def test_stopping_takes_no_time_and_is_not_a_death(members: Members) -> None:
    members.crew.start(1)
    members.crew.start(2)
    assert members.crew.stop() < 5
    assert members.crew.deaths == []
    assert [note.partition(",")[0] for note in members.notes[2:]] == ["member 1 is stopped", "member 2 is stopped"]


def test_a_kill_ends_the_children_of_a_shell(tmp_path: Path) -> None:
    crew = Crew(("sh", "-c", "sleep 60 & echo $!; wait"), dict(os.environ), tmp_path, lambda _: None)
    crew.start(1)
    wait_for("the child's number", crew.lines, 10)
    crew.kill(1)
    child = Path(f"/proc/{crew.lines()[0]}/stat")
    wait_for("the end of the child", lambda: not child.exists() or " Z " in child.read_text(encoding="utf-8"), 10)


def test_a_member_that_ends_by_itself_is_started_again_and_told_with_its_last_line(tmp_path: Path) -> None:
    crew = Crew((sys.executable, "-c", "print('no broker'); raise SystemExit(3)"), dict(os.environ), tmp_path, print)
    crew.start(1)

    def died() -> bool:
        crew.look()
        return bool(crew.deaths)

    wait_for("its death", died, 10)
    assert crew.deaths[0].startswith("member 1 ended by itself with exit code 3: ")
    assert crew.numbers == [1]
    crew.abandon()


def test_programs_that_end_by_themselves_are_waited_for(tmp_path: Path) -> None:
    crew = Crew((sys.executable, "-c", "print('done')"), dict(os.environ), tmp_path, lambda _: None)
    crew.start(1)
    assert crew.finish(20) == [0]
    assert crew.lines() == ["done"]


def test_a_program_that_does_not_end_has_no_exit_code(members: Members) -> None:
    members.crew.start(1)
    assert members.crew.finish(0.2) == [None]
    assert members.crew.numbers == []


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    crew = Crew(("no-such-program",), dict(os.environ), tmp_path, lambda _: None)
    with pytest.raises(ProgramFailed, match=r"'no-such-program' cannot be started: No such file or directory \(from "):
        crew.start(1)
