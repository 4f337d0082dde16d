"""The file that describes the running stack, so that every command finds it, and what a crash left."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

CREATE_TIME_TOLERANCE = 1.0
"""Seconds within which two readings of a process's start time are the same process: after a reboot or a long
time the kernel gives the pid to another one, which must never be stopped."""

END_SECONDS = 5.0
"""How long the kernel may take to end a process after SIGKILL."""

POLL_SECONDS = 0.05


@dataclass
class Run:
    """The state file of a stack: who supervises it, what phase it is in, and its processes."""

    supervisor_pid: int
    supervisor_create_time: float
    phase: str = "starting"
    message: str = ""
    control: str = ""
    port_offset: int = 0
    processes: list[dict[str, Any]] = field(default_factory=list)

    def supervised(self) -> bool:
        """Whether the supervisor that wrote the file still runs."""
        return same_process(self.supervisor_pid, self.supervisor_create_time)


def same_process(pid: int | None, create_time: float) -> bool:
    """Whether the process that had this pid at that time still runs (zombies do not)."""
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and abs(process.create_time() - create_time) < CREATE_TIME_TOLERANCE
    except psutil.NoSuchProcess:
        return False


def write_run(path: Path, run: Run) -> None:
    """Replace the state file in one step, so that a reader never sees half of it.

    Raises:
        StackError: the disk is full or the folder is gone.
    """
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(run.__dict__, indent=1))
        temporary.replace(path)
    except OSError as error:
        raise StackError(f"{path} cannot be written ({error.strerror}): free some space on that disk") from error


def read_run(path: Path) -> Run | None:
    """The state file, or None when there is none (or a crash of the machine left it empty)."""
    try:
        return Run(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return None


def living(run: Run) -> list[dict[str, Any]]:
    """The recorded processes that still run."""
    return [process for process in run.processes if same_process(process["pid"], process["create_time"])]


def end_leftovers(run: Run) -> list[str]:
    """End the processes that a crashed supervisor left; their names are returned."""
    found = living(run)
    handles = []
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            handle = psutil.Process(process["pid"])
            handle.kill()
            handles.append(handle)
    _, alive = psutil.wait_procs(handles, timeout=END_SECONDS)
    if alive:
        pids = ", ".join(str(handle.pid) for handle in alive)
        raise StackError(f"processes {pids} of an earlier run do not end: end them by hand (kill -9 {pids})")
    return [process["name"] for process in found]


def wait_for_end(run: Run, seconds: float) -> bool:
    """Wait until the supervisor has ended; true when it did in time."""
    end = time.monotonic() + seconds
    while run.supervised():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def already_runs(home: Path) -> str:
    """The message of a second start."""
    return f"a stack already runs from {home}: 'newsroom ps' shows it, 'newsroom down' stops it"
