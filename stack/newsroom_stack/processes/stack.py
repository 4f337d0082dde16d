"""The stack as plain processes of this machine: no Docker. Talks to the supervisor that owns them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from typing_extensions import override

from newsroom_stack.errors import StackError
from newsroom_stack.interface import Instance, Owner, Show, Stack, State, silent
from newsroom_stack.layout import Layout
from newsroom_stack.ports import Ports
from newsroom_stack.probes import Probe
from newsroom_stack.processes import logfiles as tail
from newsroom_stack.processes.control import ask
from newsroom_stack.processes.runfile import (
    Run,
    already_runs,
    end_leftovers,
    living,
    read_run,
    same_process,
    wait_for_end,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.settings import StackSettings

START_SECONDS = 300.0
"""The sum of the members' own deadlines is never reached before one of them fails; this bounds a hung supervisor."""

STOP_SECONDS = 30.0
EXECUTE_SECONDS = 30.0
SUPERVISOR = "supervisor"


class ProcessStack(Stack):
    """A stack of processes, described by the state file in its home."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.ports = Ports(settings.port_offset)
        self.layout = Layout(settings.home.absolute())
        self._run_file = self.layout.run / "stack.json"

    @override
    def running(self) -> bool:
        return self._run() is not None

    @override
    def start(self, *, run_for: float | None = None, show: Show = silent) -> Owner:
        """Start the supervisor, which ends when this process does: its standard input is closed then."""
        supervisor = self._start_supervisor(subprocess.PIPE, run_for, show)
        return ProcessOwner(supervisor, self.layout.log(SUPERVISOR))

    @override
    def up(self, *, run_for: float | None = None, show: Show = silent) -> None:
        self._start_supervisor(subprocess.DEVNULL, run_for, show, "--detached")

    def _run(self) -> Run | None:
        run = read_run(self._run_file)
        return run if run is not None and run.supervised() else None

    def _start_supervisor(
        self, stdin: int, run_for: float | None, show: Show, *options: str
    ) -> subprocess.Popen[bytes]:
        if self.running():
            raise StackError(already_runs(self.layout.home))
        self.layout.make()
        options += ("--for-seconds", str(run_for)) if run_for is not None else ()
        with self.layout.log(SUPERVISOR).open("wb") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "newsroom_stack.processes.supervisor", *options],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | self.settings.as_environment(),
                start_new_session=True,
            )
        try:
            self._wait_until_ready(supervisor, show)
        except BaseException:
            # Ctrl-C while starting, too: return only when nothing runs any more.
            show("stopping what has started")
            end_supervisor(supervisor)
            raise
        return supervisor

    def _wait_until_ready(self, supervisor: subprocess.Popen[bytes], show: Show) -> None:
        deadline = time.monotonic() + START_SECONDS
        last_error = ""
        for line in tail.follow(self.layout.log(SUPERVISOR)):
            if line is not None:
                show(line)
                last_error = line if line.startswith("error:") else last_error
                continue
            run = read_run(self._run_file)
            if run is not None and run.supervisor_pid == supervisor.pid and run.phase == "ready":
                return
            if supervisor.poll() is not None:
                break
            if time.monotonic() > deadline:
                self.down()
                raise StackError(f"the stack was not ready within {START_SECONDS:.0f} s; see {self.layout.logs}")
        run = read_run(self._run_file)
        message = run.message if run and run.supervisor_pid == supervisor.pid and run.phase == "failed" else ""
        raise StackError(message or last_error.removeprefix("error: ") or f"the start failed; see {self.layout.logs}")

    @override
    def down(self, *, wipe: bool = False) -> list[str]:
        lines = []
        run = read_run(self._run_file)
        if run is not None and run.supervised():
            # A signal, not a command: commands are taken one at a time, and not before everything has started.
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.supervisor_pid, signal.SIGTERM)
            if not wait_for_end(run, STOP_SECONDS):
                psutil.Process(run.supervisor_pid).kill()
                lines.append(f"the supervisor did not end within {STOP_SECONDS:.0f} s and was killed")
            else:
                lines.append("everything is stopped")
        if run is not None and living(run):
            lines.append(f"left by an earlier run and stopped now: {', '.join(end_leftovers(run))}")
        if wipe and self.layout.home.exists():
            self.layout.delete()
            lines.append(f"data and logs in {self.layout.home} are deleted")
        return lines or ["nothing was running"]

    @override
    def ps(self) -> list[Instance]:
        run = read_run(self._run_file)
        if run is None:
            return []
        supervised = run.supervised()
        # Side by side: one member that does not answer delays the table by one probe, not by one each.
        with ThreadPoolExecutor(max(1, len(run.processes))) as pool:
            return list(pool.map(lambda process: _instance(process, supervised=supervised), run.processes))

    @override
    def logs(self, name: str | None = None, *, follow: bool = False) -> Iterator[tuple[str, str]]:
        def chosen() -> dict[str, Path]:
            return {
                stem: path for stem, path in files().items() if name is None or stem == name or _is_replica(stem, name)
            }

        def files() -> dict[str, Path]:
            return {path.stem: path for path in sorted(self.layout.logs.glob("*.log"))}

        if not (found := chosen()):
            known = ", ".join(files()) or "nothing has run yet"
            raise StackError(f"there is no log of '{name or 'anything'}': {known}")
        # Replicas that are added later are followed, too.
        return tail.follow_all(chosen) if follow else tail.read_all(found)

    @override
    def scale(self, service: str, replicas: int) -> list[str]:
        return self._ask("scale", service=service, replicas=replicas)

    @override
    def kill(self, name: str) -> list[str]:
        return self._ask("kill", name=name)

    @override
    def pause(self, name: str) -> list[str]:
        return self._ask("pause", name=name)

    @override
    def resume(self, name: str) -> list[str]:
        return self._ask("resume", name=name)

    @override
    def restart(self, name: str) -> list[str]:
        return self._ask("restart", name=name)

    @override
    def execute(self, name: str, *command: str) -> str:
        folders = {process["name"]: process["folder"] for process in self._running().processes}
        if name not in folders:
            raise StackError(f"there is no '{name}' in this stack: {', '.join(folders)}")
        try:
            done = subprocess.run(
                command, cwd=folders[name], capture_output=True, text=True, timeout=EXECUTE_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"{name}: '{' '.join(command)}' failed: {error}") from error
        if done.returncode != 0:
            raise StackError(f"{name}: '{' '.join(command)}' failed: {done.stderr.strip()}")
        return done.stdout

    def _ask(self, action: str, **arguments: Any) -> list[str]:  # noqa: ANN401 - JSON values
        return ask(Path(self._running().control), action, **arguments)

    def _running(self) -> Run:
        run = self._run()
        if run is None:
            raise StackError(f"no stack runs from {self.layout.home}: start it with 'newsroom up'")
        return run


class ProcessOwner(Owner):
    """The command line that started a supervisor."""

    def __init__(self, supervisor: subprocess.Popen[bytes], log: Path) -> None:
        self._supervisor = supervisor
        self._log = log

    @override
    def news(self) -> Iterator[str | None]:
        caught_up = False
        for line in tail.follow(self._log):
            # What was written before is known: the start has shown it.
            caught_up = caught_up or line is None
            if caught_up:
                yield line
            if line is None and self._supervisor.poll() is not None:
                return

    @override
    def stop(self) -> int:
        end_supervisor(self._supervisor)
        return self._supervisor.returncode


def end_supervisor(supervisor: subprocess.Popen[bytes]) -> None:
    """End a supervisor that this process started, and wait until it has stopped everything in order."""
    if supervisor.stdin:
        supervisor.stdin.close()
    else:
        supervisor.terminate()
    try:
        supervisor.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        # What it leaves dies with it, or is found by the next start.
        supervisor.kill()
        supervisor.wait()


def _instance(process: dict[str, Any], *, supervised: bool) -> Instance:
    alive = same_process(process["pid"], process["mark"])
    state = State(process["state"])
    if not alive and state in (State.RUNNING, State.STARTING, State.PAUSED):
        state = State.EXITED if supervised else State.GONE
    memory = _memory(process["pid"]) if alive else 0
    ready = alive and state is State.RUNNING and Probe(**process["probe"]).missing() is None
    return Instance(
        name=process["name"],
        service=process["service"],
        role=process["role"],
        pid=process["pid"] if alive else None,
        address=process["address"],
        state=state,
        ready=ready,
        restarts=process["restarts"],
        memory_bytes=memory,
    )


def _memory(pid: int) -> int:
    """Resident bytes of a process and of those that it has started, as gunicorn its workers."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total


def _is_replica(stem: str, service: str) -> bool:
    head, _, number = stem.rpartition("-")
    return head == service and number.isdigit()
