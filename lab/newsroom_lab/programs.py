"""Programs that an experiment runs: the services and Kafka's tools, as a reader would run them in a shell."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsroom_stack.environment import services_environment
from newsroom_stack.errors import StackError
from newsroom_stack.layout import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom_stack.interface import Stack

ANSI = re.compile(r"\x1b\[[0-9;]*m")
LOG_HEAD = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z \[info\] ([\w.]+: )?")
"""What stands before the event in a line of our services."""

LONGEST_LINE = 240
EXCERPT = 5
"""So many lines of a program's output are shown."""

STOP_SECONDS = 15.0
"""A service ends within ten seconds of SIGTERM."""


class ProgramFailed(StackError):
    """A program did not do what the experiment needs it for."""


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    lines: tuple[str, ...]
    seconds: float

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def search(self, pattern: str) -> re.Match[str]:
        """The first place where the output has this pattern.

        Raises:
            ProgramFailed: it has none.
        """
        match = re.search(pattern, self.text, re.MULTILINE)
        if match is None:
            raise ProgramFailed(f"no {pattern!r} in the output: {self.text[-500:]}")
        return match


def shell_line(command: tuple[str, ...], stdin: str | None, variables: Mapping[str, str]) -> str:
    """A command as a reader would type it; a long input is shortened."""
    line = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(command)])
    if stdin is None:
        return line
    first, *rest = stdin.splitlines() or [""]
    return f"{'printf' if rest else 'echo'} {shlex.quote(first)}{' …' if rest else ''} | {line}"


def excerpt(lines: tuple[str, ...]) -> list[str]:
    """The last lines of an output, without what stands before the event in each."""
    left = len(lines) - EXCERPT
    shown = (LOG_HEAD.sub("", line)[:LONGEST_LINE] for line in lines[-EXCERPT:])
    return [*([f"… {left} lines"] if left > 0 else []), *shown]


def environment(stack: Stack, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program that talks to this stack: without colours, and without a rate of the user's shell."""
    return {
        **services_environment(stack.ports),
        **stack.settings.as_environment(),
        "NEWSROOM_PRODUCER_RATE": "0",
        "NO_COLOR": "1",
        **variables,
    }


def program(name: str) -> str:
    """The path of one of our commands, which lies beside this Python; other names are looked for in PATH."""
    ours = Path(sys.executable).parent / name
    return str(ours) if "/" not in name and ours.exists() else name


def run(command: tuple[str, ...], env: Mapping[str, str], *, stdin: str | None, seconds: float) -> Ended:
    """Run a program to its end.

    Raises:
        ProgramFailed: it did not end in time.
    """
    start = time.monotonic()
    try:
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            input=stdin or "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
            cwd=REPOSITORY,
            env=dict(env),
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")[-300:]
        raise ProgramFailed(f"'{shlex.join(command)}' did not end within {seconds:g} s: {output}") from error
    return Ended(done.returncode, tuple(ANSI.sub("", done.stdout).splitlines()), time.monotonic() - start)


class Running:
    """A program that runs beside the experiment, and its lines so far with their times."""

    def __init__(self, command: tuple[str, ...], env: Mapping[str, str], folder: Path = REPOSITORY) -> None:
        self.command = command
        self.ended: float | None = None
        """When its end was noticed (Unix seconds)."""
        self._lines: list[tuple[float, str]] = []
        self._process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=folder,
            env=dict(env),
            # Ctrl-C in the terminal is for the lab, which stops its programs itself.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._process.stdout or open(os.devnull, encoding="utf-8") as output:  # noqa: PTH123
            for line in output:
                self._lines.append((time.time(), ANSI.sub("", line.rstrip("\n"))))

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def lines(self, pattern: str = "") -> list[str]:
        """The lines so far that have this pattern."""
        return [line for _, line in list(self._lines) if re.search(pattern, line)]

    def moments(self, pattern: str) -> list[tuple[float, re.Match[str]]]:
        """When a line with this pattern came (Unix seconds), and the match."""
        matches = ((moment, re.search(pattern, line)) for moment, line in list(self._lines))
        return [(moment, match) for moment, match in matches if match is not None]

    def records(self, pattern: str = "") -> list[dict[str, Any]]:
        """The lines as JSON objects, of a program with `--log-format json`."""
        return [json.loads(line) for line in self.lines(pattern) if line.startswith("{")]

    def send(self, signal: int) -> None:
        """Send a signal to it."""
        if self.code is None:
            self._process.send_signal(signal)

    def stop(self) -> int:
        """End it as Ctrl-C would, and return its exit code."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._finish()

    def kill(self) -> int:
        """End it with SIGKILL: it can do nothing more."""
        self._process.kill()
        return self._finish()

    def wait(self, seconds: float) -> int:
        """Wait for its own end, and return its exit code.

        Raises:
            ProgramFailed: it still runs.
        """
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            tail = " / ".join(self.lines()[-3:])
            raise ProgramFailed(f"'{shlex.join(self.command)}' still runs after {seconds:g} s: {tail}") from error
        return self._finish()

    def _finish(self) -> int:
        code = self._process.wait()
        self.ended = self.ended or time.time()
        self._reader.join(STOP_SECONDS)
        return code


def until(what: str, question: Callable[[], Any], seconds: float, failure: type[StackError]) -> Any:  # noqa: ANN401
    """Ask until the answer is true, and return it; errors of the stack count as no answer.

    Raises:
        StackError: it was not true in time; of the class `failure`.
    """
    from newsroom.errors import NotYet  # noqa: PLC0415 - beside its only use
    from newsroom_stack.waits import wait_until  # noqa: PLC0415

    def attempt() -> Any:  # noqa: ANN401 - the question's own answer
        try:
            answer = question()
        except StackError as error:
            raise NotYet(str(error)) from error
        if not answer:
            raise NotYet(f"it is {answer!r}")
        return answer

    return wait_until(
        attempt, seconds, lambda missing: failure(f"{what}: not within {seconds:g} s ({missing})"), pause=0.2
    )
