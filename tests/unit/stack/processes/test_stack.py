"""The stack of processes as its state file describes it."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.processes.runfile import Run, mark_of, read_run, write_run
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import StackSettings
from support.processes import sleeping
from support.web import NOBODY, Web


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


@pytest.fixture
def crashed(tmp_path: Path) -> Iterator[tuple[ProcessStack, subprocess.Popen[bytes]]]:
    """A stack whose supervisor was killed, and a process that it left."""
    stack = ProcessStack(StackSettings(home=tmp_path))
    stack.layout.make()
    with sleeping() as left:
        process = {
            "name": "kafka-1",
            "service": "kafka",
            "role": "broker",
            "address": NOBODY,
            "folder": str(tmp_path),
            "probe": {"kind": "broker", "target": NOBODY},
            "pid": left.pid,
            "mark": mark_of(left.pid),
            "state": "running",
            "restarts": 0,
        }
        write_run(stack.layout.run_file, Run(4711, "", phase="ready", processes=[process]))
        yield stack, left


def test_every_command_says_that_the_supervisor_was_killed_and_what_is_left(
    crashed: tuple[ProcessStack, subprocess.Popen[bytes]],
) -> None:
    stack, left = crashed
    sentence = (
        "the supervisor (pid 4711) was killed and did not stop the stack; "
        f"kafka-1 (pid {left.pid}) still run: 'newsroom down' ends them"
    )
    assert stack.trouble() == sentence
    with pytest.raises(StackError, match=re.escape(sentence)):
        stack.kill("kafka-1")
    (broker,) = stack.ps()
    assert (broker.state, broker.ready, broker.missing) == (
        *(State.RUNNING, False),
        f"{NOBODY} does not answer (Connection refused)",
    )
    left.kill()
    left.wait()
    assert "nothing of it runs any more: 'newsroom up' starts it again" in str(stack.trouble())


def test_down_ends_what_a_killed_supervisor_left_and_the_trouble_is_over(
    crashed: tuple[ProcessStack, subprocess.Popen[bytes]],
) -> None:
    stack, _ = crashed
    assert stack.down() == ["left by an earlier run and stopped now: kafka-1"]
    assert (stack.trouble(), stack.ps()) == (None, [])


@pytest.mark.parametrize(("answer", "state"), [(200, State.RUNNING), (503, State.STARTING)])
def test_what_was_starting_runs_once_it_is_ready_whoever_looks(
    crashed: tuple[ProcessStack, subprocess.Popen[bytes]], answer: int, state: State
) -> None:
    stack, _ = crashed
    run = read_run(stack.layout.run_file)
    assert run
    with Web(lambda request: request.reply(answer)) as server:
        run.processes[0] |= {"state": "starting", "probe": {"kind": "http", "target": server.url}}
        write_run(stack.layout.run_file, run)
        (instance,) = stack.ps()
    assert (instance.state, instance.ready) == (state, answer == 200)
    assert instance.memory_bytes > 0


def test_what_cannot_be_run_is_said(stack: ProcessStack, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="there is no 'registry' in this stack: connect"):
        stack.execute("registry", "true")
    with pytest.raises(StackError, match=r"connect: 'cat missing' failed: .*No such file"):
        stack.execute("connect", "cat", "missing")
    with pytest.raises(StackError, match="connect: 'no-such-program' failed"):
        stack.execute("connect", "no-such-program")
    with pytest.raises(StackError, match="no stack runs from"):
        ProcessStack(StackSettings(home=tmp_path / "other")).execute("connect", "true")
