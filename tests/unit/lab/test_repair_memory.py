"""The fault that is set into a stack is remembered until it is healed."""

from pathlib import Path

import pytest

from newsroom_lab.repair.memory import FILE, Memory
from newsroom_stack.errors import StackError


def test_another_shell_finds_the_fault_its_notes_and_its_hints(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Memory.begin(home, "paused").note(home, "connector", "sink").hinted(home).hinted(home)
    assert Memory.read(home) == Memory("paused", {"connector": "sink"}, 2)


def test_a_second_fault_is_refused_and_the_first_is_kept(tmp_path: Path) -> None:
    Memory.begin(tmp_path, "paused")
    with pytest.raises(StackError, match="a fault is set already"):
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
