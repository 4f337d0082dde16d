"""The process that owns a running stack: starts its members in order, watches them, stops them in order.

`newsroom up` starts it with `python -m newsroom_stack.supervisor`; it writes plain lines to its log, which the
command line shows. It ends when told by signal or command, when the command line that owns it dies, or when a
start fails; no process outlives it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from newsroom.waiting import StopFlag, Stopped
from newsroom_stack.catalogue import BROKERS, SERVICES
from newsroom_stack.errors import StackError
from newsroom_stack.jvm.artifacts import ensure_artifacts
from newsroom_stack.jvm.progress import QuietProgress
from newsroom_stack.ports import SECOND_OFFSET, port_is_free, reserved
from newsroom_stack.processes.child import leashed
from newsroom_stack.processes.commands import Commands
from newsroom_stack.processes.control import ControlServer
from newsroom_stack.processes.crew import POLL_SECONDS, Crew
from newsroom_stack.processes.plan import Plan
from newsroom_stack.processes.runfile import Run, already_runs, end_leftovers, living, mark_of, read_run, write_run
from newsroom_stack.settings import load_stack_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.jvm.launch import Launch

FORMAT_SECONDS = 60.0
PROVISION_SECONDS = 120.0

FREE_BYTES_NEEDED = 1024**3
"""Below 1 GiB free on the data's disk a start is refused: brokers that run out of space stop for good."""


class Supervisor:
    """Runs one stack from start to stop."""

    def __init__(self, plan: Plan, *, lifeline: int | None, run_for: float | None) -> None:
        self.plan = plan
        self.run_file = plan.layout.run / "stack.json"
        self.run = Run(os.getpid(), mark_of(os.getpid()), port_offset=plan.settings.port_offset)
        self.stopping = StopFlag()
        self.crew = Crew(plan.layout, self.stopping, say=say, changed=self._save)
        self.commands = Commands(self.crew, plan)
        self._run_for = run_for
        self._lifeline = lifeline

    # -- from start to stop ---------------------------------------------------------------------------------

    def main(self) -> int:
        """Start everything, serve until told to stop, stop everything; the exit code."""
        code = 0
        control: ControlServer | None = None
        try:
            with contextlib.ExitStack() as held:
                held.enter_context(self._claim())
                self._clean_up_stale_run()
                self._check_machine()
                held.enter_context(reserved((*self.plan.ports.brokers, *self.plan.ports.controllers)))
                control = ControlServer(control_path(self.plan.layout.home))
                held.callback(control.close)
                self.run.control = str(control.path)
                self._watch_lifeline()
                try:
                    self._start_everything()
                    self._serve(control)
                except Stopped:
                    pass  # asked to, while something was still starting
                except StackError as error:
                    code = 0 if self.stopping else 1
                    if code:
                        self._phase("failed", str(error))
                finally:
                    self._stop_everything()
        except StackError as error:
            say(f"error: {error}")
            return 1
        return code

    @contextlib.contextmanager
    def _claim(self) -> Iterator[None]:
        path = self.plan.layout.run / "supervisor.lock"
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(already_runs(self.plan.layout.home)) from None
            yield

    def _clean_up_stale_run(self) -> None:
        stale = read_run(self.run_file)
        if stale is not None and living(stale):
            say(f"an earlier run ended without stopping {', '.join(end_leftovers(stale))}: stopped now")
        self._save()

    def _check_machine(self) -> None:
        taken = [f"{port} ({who})" for who, port in self.plan.listening().items() if not port_is_free(port)]
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

    # -- start ----------------------------------------------------------------------------------------------

    def _start_everything(self) -> None:
        self._phase("starting", "formatting storage")
        formats = [launch for node in range(1, BROKERS + 1) if (launch := self.plan.format_storage(node))]
        with ThreadPoolExecutor(BROKERS) as pool:
            list(pool.map(lambda launch: self._run_job(launch, FORMAT_SECONDS), formats))
        brokers = [self.crew.add(self.plan.broker(node)) for node in range(1, BROKERS + 1)]
        registry = self.crew.add(self.plan.registry())
        self.crew.wait_ready(brokers, tell=self._waiting_for)
        # Connect needs only brokers to start; its topic comes with the provision job.
        self.crew.wait_ready([registry], tell=self._waiting_for)
        self._phase("starting", "creating and checking topics and subjects")
        for line in self._run_job(self.plan.provision(), PROVISION_SECONDS).splitlines():
            say(f"provision: {line}")
        members = [self.crew.add(self.plan.connect())]
        members += [self.crew.add(self.plan.service(kind.name, 1)) for kind in SERVICES]
        self.crew.wait_ready(members, tell=self._waiting_for)
        self._phase("ready", "everything is ready")

    def _waiting_for(self, name: str) -> None:
        self._phase(self.run.phase, f"waiting for {name}")

    def _run_job(self, launch: Launch, seconds: float) -> str:
        log = self.plan.layout.log(launch.name)
        with log.open("wb") as output:
            job = subprocess.Popen(
                leashed(launch.argv), env=launch.env, cwd=launch.cwd, stdout=output, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        try:
            self.crew.wait(lambda: "it still runs" if job.poll() is None else None, seconds, launch.name)
        except (StackError, Stopped):
            job.kill()
            job.wait()
            raise
        text = log.read_text(errors="replace")
        if job.returncode != 0:
            raise StackError(f"{launch.name} ended with exit code {job.returncode}:\n{text.strip()[-2000:]}")
        return text

    # -- serve ----------------------------------------------------------------------------------------------

    def _serve(self, control: ControlServer) -> None:
        end = time.monotonic() + self._run_for if self._run_for is not None else None
        while not self.stopping:
            self.crew.look_after()
            with contextlib.suppress(queue.Empty):
                for line in self.commands.answer(control.requests.get(timeout=POLL_SECONDS)):
                    say(line)
                self._save()
            if end is not None and time.monotonic() > end:
                say(f"ran for {self._run_for:.0f} s as asked")
                return

    # -- stop -----------------------------------------------------------------------------------------------

    def _stop_everything(self) -> None:
        failed = self.run.phase == "failed"
        self._phase("failed" if failed else "stopping", self.run.message if failed else "stopping everything in order")
        self.crew.stop_all()
        self.crew.children = []
        self._phase("failed" if failed else "stopped", self.run.message if failed else "everything is stopped")

    # -- what others see ------------------------------------------------------------------------------------

    def _phase(self, phase: str, message: str) -> None:
        if (phase, message) != (self.run.phase, self.run.message):
            say(("error: " if phase == "failed" else "") + message)
        self.run.phase, self.run.message = phase, message
        # At the end of a run on a full disk the file cannot be written: the log line has said it.
        with contextlib.suppress(StackError):
            self._save()

    def _save(self) -> None:
        self.run.processes = [
            {
                "name": child.name,
                "service": child.member.service,
                "role": child.member.role,
                "pid": child.pid,
                "mark": child.mark,
                "address": child.member.address,
                "probe": {"kind": child.member.probe.kind, "target": child.member.probe.target},
                "state": child.state.value,
                "restarts": child.restarts,
                "log": str(child.log),
                "folder": str(child.member.launch.cwd),
            }
            for child in self.crew.children
        ]
        write_run(self.run_file, self.run)

    def _watch_lifeline(self) -> None:
        if self._lifeline is None:
            return
        lifeline = self._lifeline

        def watch() -> None:
            # Returns at end of file: the command line that started us has ended, however it ended. os.read, not
            # the buffered reader: its lock, held by a waiting thread, would break the interpreter's end.
            os.read(lifeline, 1)
            self.stopping.set()

        threading.Thread(target=watch, name="lifeline", daemon=True).start()


def control_path(home: Path) -> Path:
    """The supervisor's socket. In the temporary folder: a Unix socket's path may not exceed 107 bytes."""
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"newsroom-{os.getuid()}-{digest}.sock"


def say(line: str) -> None:
    """One line of the supervisor's log."""
    # The log is on the disk that may be full: what cannot be said must not keep the stack from being stopped.
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def main() -> None:
    """Entry point of the supervisor's process."""
    parser = argparse.ArgumentParser(prog="newsroom_stack.processes.supervisor")
    parser.add_argument("--detached", action="store_true", help="outlive the command line")
    parser.add_argument("--for-seconds", type=float, help="stop so long after everything is ready")
    options = parser.parse_args()
    try:
        settings = load_stack_settings()
        plan = Plan(settings, ensure_artifacts(settings.cache, QuietProgress()))
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
