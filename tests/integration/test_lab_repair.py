"""Faults in a real stack: a check fails until the documented solution is run, and heal leaves nothing behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from newsroom_lab.programs import environment
from newsroom_lab.repair.fault import Fault, fault_of, faults, places
from newsroom_lab.repair.memory import Memory
from newsroom_stack.processes.runfile import same_process
from support.pipeline import Finished, ProcessPipeline

pytestmark = pytest.mark.timeout(600)

BIN = Path(sys.executable).parent
SECONDS = 240
OURS = "repair-"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All faults with `--whole`, otherwise the quick ones."""
    if "fault" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--whole")
        chosen = [fault for fault in faults().values() if fault.quick or whole]
        metafunc.parametrize("fault", chosen, ids=[fault.name for fault in chosen])


class Shell:
    """A learner's shell: each command is a process of its own."""

    def __init__(self, pipeline: ProcessPipeline) -> None:
        self.stack = pipeline.stack
        self.home = pipeline.stack.settings.home
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        self._env = environment(pipeline.stack, {"PATH": path})

    def run(self, line: str) -> Finished:
        """Run a line in a shell; a failed test shows all of them."""
        done = subprocess.run(
            ["bash", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
            env=self._env,
        )
        print(f"$ {line}\n{done.stdout}")  # noqa: T201 - pytest shows it
        return Finished(done.returncode, done.stdout)

    def lab(self, *words: str) -> Finished:
        """Run a command of the lab."""
        return self.run(f"newsroom lab {' '.join(words)}")

    def left(self) -> list[str]:
        """Topics, groups, files and programs of a fault."""
        admin = AdminClient({"bootstrap.servers": self.stack.ports.bootstrap})
        topics = admin.list_topics(timeout=20).topics
        groups = [group.group_id for group in admin.list_consumer_groups().result(20).valid]
        names = [name for name in [*topics, *groups] if OURS in name]
        return names + [str(file) for file in self.home.glob("repair*")] + [str(f) for f in self.home.glob("fault*")]


@pytest.fixture
def shell(pipeline: ProcessPipeline) -> Iterator[Shell]:
    shell = Shell(pipeline)
    yield shell
    shell.lab("heal")


def test_a_fault_is_repaired_by_its_solution_and_not_by_doing_nothing(shell: Shell, fault: Fault) -> None:
    broken = shell.lab("break", fault.name)
    assert broken.code == 0, broken.output
    second = shell.lab("break", fault.name)
    assert (second.code, f"{fault.name} is set already" in second.output) == (1, True), second.output
    unrepaired = shell.lab("check")
    assert (unrepaired.code, "FAIL" in unrepaired.output) == (1, True), unrepaired.output

    for line in fault.solution:
        done = shell.run(line.format(**places(shell.stack)))
        assert done.code == 0, (line, done.output)
    repaired = shell.lab("check")
    assert (repaired.code, "PASS" in repaired.output) == (0, True), repaired.output

    memory = Memory.read(shell.home)
    assert memory is not None
    healed = shell.lab("heal")
    assert healed.code == 0, healed.output
    assert shell.left() == []
    programs = [(int(note.split()[1]), mark) for note, mark in memory.notes.items() if note.startswith("program ")]
    assert not any(same_process(*program) for program in programs)


@pytest.mark.whole
def test_a_broker_starts_after_its_topics_minimum_was_changed_while_it_was_away(shell: Shell) -> None:
    """Decision 0014: without it the second start of kafka-3 ends with exit code 1, again and again."""
    assert shell.lab("break", "refused-writes").code == 0
    for line in reversed(fault_of("refused-writes").solution):
        assert shell.run(line).code == 0
    for command in ("heal", "break refused-writes", "heal", "check"):
        done = shell.lab(command)
        assert done.code == 0, done.output


def test_heal_restores_a_stack_that_nobody_has_repaired(shell: Shell, fault: Fault) -> None:
    broken = shell.lab("break", str(fault.number))
    assert broken.code == 0, broken.output
    for _ in range(2):
        healed = shell.lab("heal")
        assert healed.code == 0, healed.output
    assert shell.left() == []
    whole = shell.lab("check")
    assert (whole.code, "no fault is set" in whole.output) == (0, True), whole.output
