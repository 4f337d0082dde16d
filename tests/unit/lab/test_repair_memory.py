"""The fault that is set into a stack is remembered until it is healed."""

from pathlib import Path

import pytest

from newsroom_lab.repair.memory import FILE, Memory, home_of
from newsroom_stack.errors import StackError
from newsroom_stack.settings import StackSettings


def test_another_shell_finds_the_fault_its_notes_and_its_hints(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Memory.begin(home, "paused").note(home, "connector", "sink").hinted(home).hinted(home)
    assert Memory.read(home) == Memory("paused", {"connector": "sink"}, 2)


def test_a_fault_is_whole_only_when_it_is_said_so(tmp_path: Path) -> None:
    whole = Memory.begin(tmp_path, "paused").note(tmp_path, "connector", "sink").marked(tmp_path, whole=True)
    assert Memory.read(tmp_path) == whole == Memory("paused", {"connector": "sink"}, 0, whole=True)
    assert whole.hinted(tmp_path).whole
    whole.marked(tmp_path, whole=False)
    assert Memory.read(tmp_path) == Memory("paused", {"connector": "sink"})


def test_a_second_fault_is_refused_and_the_first_is_kept(tmp_path: Path) -> None:
    Memory.begin(tmp_path, "paused")
    with pytest.raises(StackError, match="paused is set already"):
        Memory.begin(tmp_path, "skewed")
    assert Memory.read(tmp_path) == Memory("paused")


def test_a_fault_can_be_forgotten_twice(tmp_path: Path) -> None:
    Memory.begin(tmp_path, "paused")
    Memory.forget(tmp_path)
    Memory.forget(tmp_path)
    assert Memory.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", '{"fault": "paused"}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StackError, match=FILE):
        Memory.read(tmp_path)


def test_the_file_is_whole_at_once_and_no_draft_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", crash)
    with pytest.raises(StackError, match=r"fault.json cannot be written \(No space left on device\)"):
        Memory.begin(tmp_path, "paused")
    assert Memory.read(tmp_path) is None
    monkeypatch.undo()
    Memory.begin(tmp_path, "paused").note(tmp_path, "topic a", "")
    Memory.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_note_never_writes_the_file_in_place(tmp_path: Path) -> None:
    memory = Memory.begin(tmp_path, "paused")
    before = (tmp_path / FILE).open(encoding="utf-8")
    memory.note(tmp_path, "topic a", "")
    with before:
        assert "topic a" not in before.read()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    memory = Memory.begin(tmp_path / "home", "paused")
    (tmp_path / "home" / FILE).unlink()
    for draft in (tmp_path / "home").iterdir():
        draft.unlink()
    (tmp_path / "home").rmdir()
    with pytest.raises(StackError, match="cannot be written"):
        memory.note(tmp_path / "home", "topic a", "")


def test_processes_and_containers_have_a_fault_each(tmp_path: Path) -> None:
    homes = [home_of(StackSettings(home=tmp_path, docker=docker)) for docker in (False, True)]
    for home in homes:
        Memory.begin(home, "paused")
    assert len({home / FILE for home in homes}) == 2
