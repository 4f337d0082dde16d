"""The process that owns a running stack: starts its processes in order, watches them, stops them in order.

`newsroom up` starts it with `python -m newsroom_stack.processes.supervisor`. It writes plain lines to its log, and the
command line shows them. A signal, the death of the command line that owns it, or a failed start ends it. No process
outlives it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import signal
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from newsroom.waiting import StopFlag, Stopped
from newsroom_stack.catalogue import BROKERS, SERVICES
from newsroom_stack.errors import StackError
from newsroom_stack.jvm.artifacts import ensure_artifacts
from newsroom_stack.jvm.progress import DownloadProgress
from newsroom_stack.ports import SECOND_OFFSET, port_is_free, reserved
from newsroom_stack.processes.child import spawn
from newsroom_stack.processes.commands import Commands
from newsroom_stack.processes.control import ControlServer
from newsroom_stack.processes.crew import POLL_SECONDS, Crew
from newsroom_stack.processes.plan import Plan
from newsroom_stack.processes.runfile import Run, already_runs, end_leftovers, mark_of, read_run, write_run
from newsroom_stack.settings import load_stack_settings
from newsroom_stack.waits import deadline_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.jvm.launch import Launch

FORMAT_SECONDS = 60.0
PROVISION_SECONDS = 120.0

FREE_BYTES_NEEDED = 1024**3
"""A start needs 1 GiB free on the data's disk: brokers that run out of space stop for good."""


class Supervisor:
    """Runs one stack from start to stop."""

    def __init__(self, plan: Plan, *, lifeline: int | None, run_for: float | None) -> None:
        self.plan = plan
        self.run = Run(os.getpid(), mark_of(os.getpid()), port_offset=plan.settings.port_offset)
        self.stopping = StopFlag()
        self.crew = Crew(plan.layout, self.stopping, say=say, changed=self._save)
        self.commands = Commands(self.crew, plan)
        self._run_for = run_for
        self._lifeline = lifeline
        self._serving = threading.Event()
        self._saving = threading.Lock()

    # -- from start to stop ---------------------------------------------------------------------------------

    def main(self) -> int:
        """Start everything, serve until the stop, stop everything; return the exit code."""
        ports = self.plan.ports
        try:
            with self._lock():
                self._clean_up_stale_run()
                self._check_machine()
                control = ControlServer(control_path(self.plan.layout.home), self._answer)
                with reserved((*ports.brokers, *ports.controllers)), contextlib.closing(control):
                    self.run.control = str(control.path)
                    self._watch_lifeline()
                    return self._run()
        except StackError as error:
            say(f"error: {error}")
            return 1

    def _run(self) -> int:
        failure = ""
        try:
            self._start_everything()
            self._serve()
        except Stopped:
            pass  # the stop came during the start
        except StackError as error:
            failure = "" if self.stopping else str(error)
        finally:
            self._stop_everything(failure)
        return 1 if failure else 0

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with self.plan.layout.lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(already_runs(self.plan.layout.home)) from None
            yield

    def _clean_up_stale_run(self) -> None:
        stale = read_run(self.plan.layout.run_file)
        if stale is None:
            return
        if left := end_leftovers(stale):
            say(f"an earlier run ended without stopping {', '.join(left)}: stopped now")
        elif stale.abandoned():
            say(f"the supervisor of an earlier run (pid {stale.supervisor_pid}) was killed; nothing of it is left")

    def _check_machine(self) -> None:
        taken = [f"{port} ({name})" for name, port in self.plan.ports.at_start().items() if not port_is_free(port)]
        if taken:
            raise StackError(
                f"ports in use: {', '.join(taken)}. Stop what uses them ('newsroom doctor' tells who), or move this "
                f"stack: NEWSROOM_PORT_OFFSET={self.plan.settings.port_offset + SECOND_OFFSET}"
            )
        free = psutil.disk_usage(str(self.plan.layout.home)).free
        if free < FREE_BYTES_NEEDED:
            raise StackError(
                f"the disk of {self.plan.layout.home} has {free / 1024**2:.0f} MiB free, brokers need 1 GiB: free some "
                "space, delete old data with 'newsroom down --wipe', or set NEWSROOM_HOME to another disk"
            )
        self._save()

    # -- start ----------------------------------------------------------------------------------------------

    def _start_everything(self) -> None:
        self._phase("starting", "formatting storage")
        formats = [launch for node in range(1, BROKERS + 1) if (launch := self.plan.format_storage(node))]
        with ThreadPoolExecutor(BROKERS) as pool:
            list(pool.map(lambda launch: self._run_job(launch, FORMAT_SECONDS), formats))
        brokers = [self.crew.add(self.plan.broker(node)) for node in range(1, BROKERS + 1)]
        registry = self.crew.add(self.plan.registry())
        self.crew.wait_ready(brokers, tell=self._waiting_for)
        self.crew.wait_ready([registry], tell=self._waiting_for)
        self._phase("starting", "creating and checking topics and subjects")
        for line in self._run_job(self.plan.provision(), PROVISION_SECONDS).splitlines():
            say(f"provision: {line}")
        # Connect and the services need the topics that the provision job creates.
        clients = [self.crew.add(self.plan.connect())]
        clients += [self.crew.add(self.plan.service(kind.name, 1)) for kind in SERVICES]
        self.crew.wait_ready(clients, tell=self._waiting_for)
        self._phase("ready", "everything is ready")

    def _waiting_for(self, name: str) -> None:
        self._phase(self.run.phase, f"waiting for {name}")

    def _run_job(self, launch: Launch, seconds: float) -> str:
        log = self.plan.layout.log(launch.name)
        job = spawn(launch, log, "wb")
        try:
            self.crew.wait(lambda: "it still runs" if job.poll() is None else None, seconds, launch.name)
        except (StackError, Stopped):
            job.kill()
            job.wait()
            raise
        text = log.read_text(encoding="utf-8", errors="replace")
        if job.returncode != 0:
            raise StackError(f"{launch.name} ended with exit code {job.returncode}:\n{text.strip()[-2000:]}")
        return text

    # -- serve ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        deadline = deadline_after(self._run_for)
        self._serving.set()
        # Not `wait_until`: the end of the time is no error.
        while not self.stopping.wait(POLL_SECONDS):
            self.crew.look_after()
            if deadline.passed():
                say(f"ran for {self._run_for:.0f} s as asked")
                return

    def _answer(self, action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command, in its own thread; one that comes during the start waits for its end."""
        self._serving.wait()
        answer = self.commands.answer(action, arguments)
        for line in answer.get("lines", ()):
            say(line)
        self._save()
        return answer

    # -- stop -----------------------------------------------------------------------------------------------

    def _stop_everything(self, failure: str) -> None:
        before, after = ("stopping", "stopping everything in order"), ("stopped", "everything is stopped")
        if failure:
            before = after = ("failed", failure)
        self.stopping.set()
        self._serving.set()
        self._phase(*before)
        self.crew.stop_all()
        self.crew.children = []
        self._phase(*after)

    # -- what others see ------------------------------------------------------------------------------------

    def _phase(self, phase: str, message: str) -> None:
        if (phase, message) != (self.run.phase, self.run.message):
            say(("error: " if phase == "failed" else "") + message)
        self.run.phase, self.run.message = phase, message
        # A full disk that ends the run also prevents this save; the log line above says the phase.
        with contextlib.suppress(StackError):
            self._save()

    def _save(self) -> None:
        self.run.processes = [
            {
                "name": child.name,
                "service": child.spec.service,
                "role": child.spec.role,
                "address": child.spec.address,
                "probe": asdict(child.spec.probe),
                "folder": str(child.spec.launch.cwd),
                "pid": child.pid,
                "mark": child.mark,
                "state": child.state.value,
                "restarts": child.restarts,
            }
            for child in self.crew.children
        ]
        with self._saving:
            write_run(self.plan.layout.run_file, self.run)

    def _watch_lifeline(self) -> None:
        if self._lifeline is None:
            return
        lifeline = self._lifeline

        def watch() -> None:
            # Returns at end of file, when the command line that started this process has ended, however it ended.
            # os.read, because a thread that waits in the buffered reader holds its lock at the interpreter's end.
            os.read(lifeline, 1)
            self.stopping.set()

        threading.Thread(target=watch, name="lifeline", daemon=True).start()


def control_path(home: Path) -> Path:
    """The supervisor's socket, in the temporary folder: a Unix socket's path may not exceed 107 bytes."""
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"newsroom-{os.getuid()}-{digest}.sock"


def say(line: str) -> None:
    """Write one line to the supervisor's log."""
    # The log's disk may be full, and that must not prevent the stop.
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def main() -> None:
    """Entry point of the supervisor's process."""
    parser = argparse.ArgumentParser(prog="newsroom_stack.processes.supervisor")
    parser.add_argument("--detached", action="store_true", help="outlive the command line")
    parser.add_argument("--for-seconds", type=float, help="stop this long after everything is ready")
    options = parser.parse_args()
    try:
        settings = load_stack_settings()
        plan = Plan(settings, ensure_artifacts(settings.cache, DownloadProgress()))
        plan.layout.make()
    except StackError as error:
        say(f"error: {error}")
        sys.exit(1)
    supervisor = Supervisor(
        plan, lifeline=None if options.detached else sys.stdin.fileno(), run_for=options.for_seconds
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    sys.exit(supervisor.main())


if __name__ == "__main__":
    main()
