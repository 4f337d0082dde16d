"""The stack as processes of this machine. It talks to the supervisor that owns them."""

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

from typing_extensions import override

from newsroom.waiting import need
from newsroom_stack.errors import StackError
from newsroom_stack.interface import Instance, Owner, Show, Stack, State, silent, unknown_name
from newsroom_stack.layout import Layout
from newsroom_stack.probes import Probe
from newsroom_stack.processes import logfiles
from newsroom_stack.processes.control import ask
from newsroom_stack.processes.runfile import (
    Run,
    already_runs,
    end_leftovers,
    living,
    memory_of,
    read_run,
    same_process,
    write_run,
)
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.settings import StackSettings

START_SECONDS = 300.0
"""Deadline of a supervisor that hangs. Otherwise a process exceeds its own deadline earlier."""

POLL_SECONDS = 0.2
STOP_SECONDS = 30.0
EXECUTE_SECONDS = 30.0
SUPERVISOR = "supervisor"


class ProcessStack(Stack):
    """A stack of processes, described by the state file in its home."""

    def __init__(self, settings: StackSettings) -> None:
        super().__init__(settings)
        self.layout = Layout(settings.home.absolute())

    @override
    def running(self) -> bool:
        return self._run() is not None

    @override
    def start(self, *, run_for: float | None = None, show: Show = silent) -> Owner:
        """Start the supervisor. It ends with this process, which closes its standard input."""
        supervisor = self._start_supervisor(subprocess.PIPE, run_for, show)
        return ProcessOwner(supervisor, self.layout.log(SUPERVISOR))

    @override
    def up(self, *, run_for: float | None = None, show: Show = silent) -> None:
        self._start_supervisor(subprocess.DEVNULL, run_for, show, "--detached")

    def _run(self) -> Run | None:
        run = read_run(self.layout.run_file)
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
            # Also after Ctrl-C during the start: return only when nothing runs any more.
            show("stopping what has started")
            end_supervisor(supervisor)
            raise
        return supervisor

    def _wait_until_ready(self, supervisor: subprocess.Popen[bytes], show: Show) -> None:
        message = f"the start failed; see {self.layout.logs}"

        def attempt() -> None:
            nonlocal message
            ended = supervisor.poll() is not None
            run = read_run(self.layout.run_file)
            if run is None or run.supervisor_pid != supervisor.pid:
                run = Run(supervisor.pid, "")  # the supervisor has not written the file yet
            for line in tail.lines():
                show(line)
                message = line.removeprefix("error: ") if line.startswith("error: ") else message
            if run.phase == "ready":
                return
            if ended:
                raise StackError(run.message if run.phase == "failed" else _killed(supervisor) or message)
            need("it is not ready")

        late = StackError(f"the stack was not ready within {START_SECONDS:.0f} s; see {self.layout.logs}")
        with logfiles.Tail(self.layout.log(SUPERVISOR)) as tail:
            wait_until(attempt, START_SECONDS, lambda _: late, pause=POLL_SECONDS)

    @override
    def down(self, *, wipe: bool = False) -> list[str]:
        run = read_run(self.layout.run_file)
        lines = [_stop(run)] if run is not None and run.supervised() else []
        if run is not None and living(run):
            lines.append(f"left by an earlier run and stopped now: {', '.join(end_leftovers(run))}")
        elif run is not None and run.abandoned() and not lines:
            lines.append(f"the supervisor (pid {run.supervisor_pid}) was killed earlier; nothing of it runs any more")
        if run is not None and run.abandoned():
            write_run(self.layout.run_file, Run(run.supervisor_pid, run.supervisor_mark, phase="stopped"))
        if wipe and self.layout.home.exists():
            self.layout.delete()
            lines.append(f"data and logs in {self.layout.home} are deleted")
        return lines or ["nothing was running"]

    @override
    def ps(self) -> list[Instance]:
        run = read_run(self.layout.run_file)
        if run is None:
            return []
        supervised = run.supervised()
        # Side by side, so that processes that do not answer delay the table by one probe and not by one each.
        with ThreadPoolExecutor(max(1, len(run.processes))) as pool:
            return list(pool.map(lambda process: _instance(process, supervised=supervised), run.processes))

    @override
    def trouble(self) -> str | None:
        run = read_run(self.layout.run_file)
        return run.epitaph() if run is not None and run.abandoned() else None

    @override
    def logs(self, name: str | None = None, *, follow: bool = False) -> Iterator[tuple[str, str]]:
        def all_files() -> dict[str, Path]:
            return {path.stem: path for path in sorted(self.layout.logs.glob("*.log"))}

        def files() -> dict[str, Path]:
            return {
                stem: path
                for stem, path in all_files().items()
                if name is None or stem == name or _is_replica(stem, name)
            }

        if not files():
            known = ", ".join(all_files()) or "nothing has run yet"
            raise StackError(f"there is no log of '{name or 'anything'}': {known}")
        return logfiles.follow(files) if follow else logfiles.read(files())

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
            raise unknown_name(name, folders)
        try:
            result = subprocess.run(
                command, cwd=folders[name], capture_output=True, text=True, timeout=EXECUTE_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"{name}: '{' '.join(command)}' failed: {error}") from error
        if result.returncode != 0:
            raise StackError(f"{name}: '{' '.join(command)}' failed: {result.stderr.strip()}")
        return result.stdout

    def _ask(self, action: str, **arguments: Any) -> list[str]:  # noqa: ANN401 - JSON values
        return ask(Path(self._running().control), action, **arguments)

    def _running(self) -> Run:
        run = self._run()
        if run is None:
            raise StackError(self.trouble() or f"no stack runs from {self.layout.home}: start it with 'newsroom up'")
        return run


class ProcessOwner(Owner):
    """The command line that started a supervisor."""

    def __init__(self, supervisor: subprocess.Popen[bytes], log: Path) -> None:
        self._supervisor = supervisor
        self._log = log

    @override
    def news(self) -> Iterator[str]:
        with logfiles.Tail(self._log) as tail:
            list(tail.lines())  # the start has shown these
            ended = False
            # Not `wait_until`: each look may yield several lines.
            while not ended:
                ended = self._supervisor.poll() is not None
                yield from tail.lines()
                time.sleep(POLL_SECONDS)

    @override
    def stop(self) -> int:
        end_supervisor(self._supervisor)
        return self._supervisor.returncode


def end_supervisor(supervisor: subprocess.Popen[bytes]) -> None:
    """Stop a supervisor that this process started, and wait until it has stopped everything in order."""
    if supervisor.stdin:
        supervisor.stdin.close()
    else:
        supervisor.terminate()
    try:
        supervisor.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        # Its processes die with it, or the next start finds them.
        supervisor.kill()
        supervisor.wait()


def _stop(run: Run) -> str:
    """Stop the supervisor of a run, and say how it ended."""
    # A signal and not a command: the supervisor takes commands one at a time, and only after the start.
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.supervisor_pid, signal.SIGTERM)
    late = StackError(f"the supervisor did not end within {STOP_SECONDS:.0f} s and was killed")
    try:
        wait_until(
            lambda: need("it still runs" if run.supervised() else None),
            STOP_SECONDS,
            lambda _: late,
            pause=POLL_SECONDS,
        )
    except StackError as error:
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.supervisor_pid, signal.SIGKILL)
        return str(error)
    return "everything is stopped"


def _instance(process: dict[str, Any], *, supervised: bool) -> Instance:
    alive = same_process(process["pid"], process["mark"])
    state = State(process["state"])
    if not alive and state in (State.RUNNING, State.STARTING, State.PAUSED):
        state = State.EXITED if supervised else State.GONE
    asked = alive and state in (State.RUNNING, State.STARTING)
    missing = Probe(**process["probe"]).missing() if asked else None
    if state is State.STARTING and asked and missing is None:
        # Whoever waited for it may have given up.
        state = State.RUNNING
    return Instance(
        **{field: process[field] for field in ("name", "service", "role", "address", "restarts")},
        pid=process["pid"] if alive else None,
        state=state,
        ready=asked and missing is None,
        memory_bytes=memory_of(process["pid"]) if alive else 0,
        missing=missing or "",
    )


def _killed(supervisor: subprocess.Popen[bytes]) -> str:
    """The clause about a supervisor that a signal ended; empty for another end."""
    code = supervisor.returncode
    return f"the supervisor was ended by {signal.Signals(-code).name}" if code < 0 else ""


def _is_replica(stem: str, service: str) -> bool:
    head, _, number = stem.rpartition("-")
    return head == service and number.isdigit()
