"""The stack of processes as its state file describes it."""

import os
from pathlib import Path

import pytest

from newsroom_stack.errors import StackError
from newsroom_stack.processes.runfile import Run, mark_of, write_run
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import StackSettings


@pytest.fixture
def stack(tmp_path: Path) -> ProcessStack:
    stack = ProcessStack(StackSettings(home=tmp_path))
    stack.layout.make()
    run = Run(os.getpid(), mark_of(os.getpid()), phase="ready")
    run.processes = [{"name": "connect", "folder": str(stack.layout.sink_file.parent)}]
    write_run(stack.layout.run_file, run)
    return stack


def test_a_command_runs_in_the_folder_of_the_instance(stack: ProcessStack) -> None:
    stack.layout.sink_file.write_text("one\ntwo\n")
    assert stack.execute("connect", "wc", "-l", stack.layout.sink_file.name).split()[0] == "2"


def test_what_cannot_be_run_is_said(stack: ProcessStack, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="there is no 'registry' in this stack: connect"):
        stack.execute("registry", "true")
    with pytest.raises(StackError, match=r"connect: 'cat missing' failed: .*No such file"):
        stack.execute("connect", "cat", "missing")
    with pytest.raises(StackError, match="connect: 'no-such-program' failed"):
        stack.execute("connect", "no-such-program")
    with pytest.raises(StackError, match="no stack runs from"):
        ProcessStack(StackSettings(home=tmp_path / "other")).execute("connect", "true")
