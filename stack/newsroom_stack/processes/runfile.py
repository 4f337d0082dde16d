"""The file that describes the running stack, so that every command finds it, and what a crash left."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from newsroom_stack.errors import StackError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux: one boot of the kernel. A container may not have it, and ends with its processes."""

END_SECONDS = 5.0
"""How long the kernel may take to end a process after SIGKILL."""

POLL_SECONDS = 0.05


@dataclass
class Run:
    """The state file of a stack: who supervises it, what phase it is in, and its processes."""

    supervisor_pid: int
    supervisor_mark: str
    phase: str = "starting"
    message: str = ""
    control: str = ""
    port_offset: int = 0
    processes: list[dict[str, Any]] = field(default_factory=list)

    def supervised(self) -> bool:
        """Whether the supervisor that wrote the file still runs."""
        return same_process(self.supervisor_pid, self.supervisor_mark)


def mark_of(pid: int) -> str:
    """What tells a running process from every other one that may get its pid; empty when none has it (or a zombie).

    After a reboot or a long time the kernel gives the pid to another process, which must never be stopped. On Linux
    the mark is the boot and the clock ticks from it to the start (proc(5), `stat`, field 22): a clock that is set
    moves every start time that is told as time of day. Elsewhere the kernel keeps that time as it was.
    """
    try:
        if sys.platform != "linux":
            process = psutil.Process(pid)
            return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
        # Field 2 is the program's name, which may hold anything; behind it field 3 is the state.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        return "" if state in {"Z", "X"} else f"{boot} {fields[22 - 4]}"
    except (OSError, psutil.NoSuchProcess):
        return ""


def same_process(pid: int | None, mark: str) -> bool:
    """Whether the process that had this pid and mark still runs."""
    return pid is not None and mark != "" and mark_of(pid) == mark


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
    return [process for process in run.processes if same_process(process["pid"], process["mark"])]


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
