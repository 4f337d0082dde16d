"""The state file, by which every command finds the running stack, and the processes that a crash left."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsroom_stack.errors import StackError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""On Linux: names one boot of the kernel. A container may lack the file; its processes end with it."""

END_SECONDS = 5.0
"""How long the kernel may take to end a process after SIGKILL."""


@dataclass
class Run:
    """The state file of a stack: its supervisor, its phase and its processes."""

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

    def abandoned(self) -> bool:
        """Whether the supervisor ended without stopping the stack: it was killed, or the machine was switched off."""
        return self.phase not in {"stopped", "failed"} and not self.supervised()

    def epitaph(self) -> str:
        """The sentence about an abandoned stack: what is left of it, and what to do."""
        left = ", ".join(f"{process['name']} (pid {process['pid']})" for process in living(self))
        remedy = (
            f"{left} still run: 'newsroom down' ends them"
            if left
            else "nothing of it runs any more: 'newsroom up' starts it again with its data"
        )
        return f"the supervisor (pid {self.supervisor_pid}) was killed and did not stop the stack; {remedy}"


def mark_of(pid: int) -> str:
    """What distinguishes a running process from a later one with the same pid; empty for a zombie or an unused pid.

    After a reboot or a long time the kernel gives the pid to another process, which must never be stopped. On Linux
    the mark is the boot and the clock ticks from it to the start (proc(5), `stat`, field 22), because setting the
    clock moves every start that is expressed as time of day. Other kernels keep that time as it was.
    """
    try:
        if sys.platform != "linux":
            return _mark_elsewhere(pid)
        # Field 2 is the program's name, which may contain anything; field 3 after it is the state.
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = BOOT_ID.read_text(encoding="utf-8").strip() if BOOT_ID.exists() else ""
        return "" if state in {"Z", "X"} else f"{boot} {fields[22 - 4]}"
    except OSError:
        return ""


def _mark_elsewhere(pid: int) -> str:
    import psutil  # noqa: PLC0415 - it takes longer to import than all else that `newsroom ps` needs

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def memory_of(pid: int) -> int:
    """Resident bytes of a process and of its children, such as gunicorn's workers; 0 when it has ended."""
    if sys.platform != "linux":
        return _memory_elsewhere(pid)
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(memory_of(int(child)) for child in children)


def _memory_elsewhere(pid: int) -> int:
    import psutil  # noqa: PLC0415 - as above

    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


def same_process(pid: int | None, mark: str) -> bool:
    """Whether the process with this pid and mark still runs."""
    return pid is not None and mark != "" and mark_of(pid) == mark


def write_run(path: Path, run: Run) -> None:
    """Replace the state file in one step, so that a reader never sees half of it.

    Raises:
        StackError: the disk is full or the folder is gone.
    """
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(run.__dict__, indent=1), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StackError(f"{path} cannot be written ({error.strerror}): free some space on that disk") from error


def read_run(path: Path) -> Run | None:
    """The state file, or None without one. A crash of the machine may leave it empty, which is the same."""
    try:
        return Run(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def living(run: Run) -> list[dict[str, Any]]:
    """The recorded processes that still run."""
    return [process for process in run.processes if same_process(process["pid"], process["mark"])]


def end_leftovers(run: Run) -> list[str]:
    """End the processes that a crashed supervisor left, and return their names."""
    import psutil  # noqa: PLC0415 - as above

    leftovers = living(run)
    handles = []
    for process in leftovers:
        with contextlib.suppress(psutil.NoSuchProcess):
            handle = psutil.Process(process["pid"])
            handle.kill()
            handles.append(handle)
    _, alive = psutil.wait_procs(handles, timeout=END_SECONDS)
    if alive:
        pids = ", ".join(str(handle.pid) for handle in alive)
        raise StackError(f"processes {pids} of an earlier run do not end: end them by hand (kill -9 {pids})")
    return [process["name"] for process in leftovers]


def already_runs(home: Path) -> str:
    """The message of a second start."""
    return f"a stack already runs from {home}: 'newsroom ps' shows it, 'newsroom down' stops it"
