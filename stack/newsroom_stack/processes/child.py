"""One process of the stack: started on a leash, logged to a file, stopped with a deadline."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.processes import leash
from newsroom_stack.processes.logfiles import cut
from newsroom_stack.processes.runfile import mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from newsroom_stack.jvm.launch import Launch
    from newsroom_stack.processes.plan import ProcessSpec

LAST_LINES = 12
LAST_BYTES = 16 * 1024

_SPAWNER = ThreadPoolExecutor(1, thread_name_prefix="spawner")
"""The one thread that starts processes. The kernel ends a process on a leash when the thread that started it ends, so
a command's own thread must not start any."""


class Child:
    """A process of the stack: its specification, and the operating system's process that runs it now."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.state = State.STARTING
        self.restarts = 0
        self.deaths = 0
        """How often in a row it has died by itself."""
        self.restart_at = 0.0
        """The time of its next start after a death."""
        self.lock = threading.RLock()
        """Held by the command that changes the child: others wait, and nobody restarts it meanwhile."""
        self.process: subprocess.Popen[bytes] | None = None
        self.mark = ""
        self.started_at = 0.0

    @property
    def name(self) -> str:
        """The instance's name."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The process id, or None when no process runs."""
        return self.process.pid if self.process and self.process.poll() is None else None

    def start(self) -> None:
        """Start the process.

        Raises:
            StackError: it cannot be started.
        """
        cut(self.log)
        try:
            self.process = spawn(self.spec.launch, self.log, "ab")
        except OSError as error:
            raise StackError(f"{self.name} cannot be started ({error.strerror}: {error.filename})") from error
        self.started_at = time.monotonic()
        self.state = State.STARTING
        self.mark = mark_of(self.process.pid)

    def exit_code(self) -> int | None:
        """The exit code once the process has ended; negative for a signal."""
        return self.process.poll() if self.process else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process's group, if it runs."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and SIGCONT because a paused process would never see it."""
        self.state = State.STOPPING
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; true when it ended in time."""
        if self.process is None:
            return True
        try:
            self.process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_lines(self) -> str:
        """The last lines of the process's log, each indented."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(0, stream.tell() - LAST_BYTES))
                lines = stream.read().decode(errors="replace").splitlines()[-LAST_LINES:]
        except OSError:
            return "    (no log)"
        return "\n".join(f"    {line}" for line in lines) or "    (the log is empty)"

    def describe_end(self) -> str:
        """One clause: how the process ended."""
        code = self.exit_code()
        if code is None:
            return "still runs"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def spawn(launch: Launch, log: Path, mode: str) -> subprocess.Popen[bytes]:
    """Start a command on a leash. Its output goes to the log.

    Raises:
        OSError: the command or the log cannot be opened.
    """
    with log.open(mode) as output:
        return _SPAWNER.submit(
            subprocess.Popen,
            leashed(launch.argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=launch.env,
            cwd=launch.cwd,
            # A group of its own: Ctrl-C at the terminal reaches only the command line, which stops everything in order.
            start_new_session=True,
        ).result()


def leashed(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` as a process which ends with this one."""
    return [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *argv]
