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
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from newsroom_stack.artifacts import ensure_artifacts
from newsroom_stack.child import Child
from newsroom_stack.control import ControlServer, Request
from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.layout import BROKERS, LOOPBACK, load_stack_settings
from newsroom_stack.plan import SERVICES, Plan, service_kind
from newsroom_stack.progress import QuietProgress
from newsroom_stack.runfile import END_SECONDS, Run, already_runs, end_leftovers, living, read_run, write_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from newsroom_stack.jvm import Launch
    from newsroom_stack.plan import Member

POLL_SECONDS = 0.1
"""How often the supervisor looks at its children and its commands."""

PROBE_INTERVAL_SECONDS = 0.25
FORMAT_SECONDS = 60.0
PROVISION_SECONDS = 120.0

STOP_SECONDS = {"service": 9.0, "connect": 9.0, "registry": 2.0, "broker": 6.5}
"""How long each role may take from SIGTERM until it is killed. Services and Connect stop side by side, then the
registry, then the brokers: 17.5 s at the most, inside the 20 s that Ctrl-C may take."""

RESTART_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before a member that died by itself is started again; after the last one it stays failed."""

STEADY_SECONDS = 60.0
"""A member that ran for so long has recovered: its next death starts the waits from the first."""

FREE_BYTES_NEEDED = 1024**3
"""Below 1 GiB free on the data's disk a start is refused: brokers that run out of space stop for good."""


class Supervisor:
    """Runs one stack from start to stop."""

    def __init__(self, plan: Plan, *, lifeline: int | None, run_for: float | None) -> None:
        self.plan = plan
        self.children: list[Child] = []
        self.run_file = plan.layout.run / "stack.json"
        self.run = Run(os.getpid(), psutil.Process().create_time(), port_offset=plan.settings.port_offset)
        self.stopping = threading.Event()
        self._deaths: dict[str, int] = {}
        self._due: dict[str, float] = {}
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
                control = ControlServer(control_path(self.plan.layout.home))
                held.callback(control.close)
                self.run.control = str(control.path)
                self._watch_lifeline()
                try:
                    self._start_everything()
                    self._serve(control)
                except StackError as error:
                    code = 0 if self.stopping.is_set() else 1
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
                "stack: NEWSROOM_PORT_OFFSET=100"
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
        brokers = [self._add(self.plan.broker(node)) for node in range(1, BROKERS + 1)]
        registry = self._add(self.plan.registry())
        self._wait_ready(brokers)
        # Connect needs only brokers to start; its topic comes with the provision job.
        self._wait_ready([registry])
        self._phase("starting", "creating and checking topics and subjects")
        for line in self._run_job(self.plan.provision(), PROVISION_SECONDS).splitlines():
            say(f"provision: {line}")
        members = [self._add(self.plan.connect())]
        members += [self._add(self.plan.service(kind.name, 1)) for kind in SERVICES]
        self._wait_ready(members)
        self._phase("ready", "everything is ready")

    def _add(self, member: Member) -> Child:
        child = Child(member, self.plan.layout.log(member.name))
        child.start()
        self.children.append(child)
        self._save()
        return child

    def _run_job(self, launch: Launch, seconds: float) -> str:
        log = self.plan.layout.log(launch.name)
        with log.open("wb") as output:
            job = subprocess.Popen(
                launch.argv, env=launch.env, cwd=launch.cwd, stdout=output, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait(lambda: job.poll() is not None, seconds, launch.name, lambda: "it still runs")
        except StackError:
            job.kill()
            job.wait()
            raise
        text = log.read_text(errors="replace")
        if job.returncode != 0:
            raise StackError(f"{launch.name} ended with exit code {job.returncode}:\n{text.strip()[-2000:]}")
        return text

    def _wait_ready(self, children: Sequence[Child]) -> None:
        for child in children:
            self._phase(self.run.phase, f"waiting for {child.name}")
            last: list[str | None] = ["not asked yet"]

            def ready(child: Child = child, last: list[str | None] = last) -> bool:
                last[0] = child.member.probe.missing()
                return last[0] is None

            self._wait(ready, child.member.deadline, child.name, lambda last=last: str(last[0]), children)  # type: ignore[misc]
            child.state = State.RUNNING
            say(f"{child.name}: ready in {time.monotonic() - child.started_at:.1f} s, {child.member.address}")
            self._save()

    def _wait(
        self,
        done: Callable[[], bool],
        seconds: float,
        what: str,
        seen: Callable[[], str],
        children: Sequence[Child] = (),
    ) -> None:
        end = time.monotonic() + seconds
        while not done():
            if self.stopping.is_set():
                raise StackError("stopped while starting")
            for child in children:
                if child.exit_code() is not None:
                    raise StackError(f"{child.name} {child.describe_end()} while starting:\n{child.last_lines()}")
            if time.monotonic() > end:
                raise StackError(f"{what} was not ready within {seconds:.0f} s: {seen()}")
            self.stopping.wait(PROBE_INTERVAL_SECONDS)

    # -- serve ----------------------------------------------------------------------------------------------

    def _serve(self, control: ControlServer) -> None:
        end = time.monotonic() + self._run_for if self._run_for is not None else None
        while not self.stopping.is_set():
            self._look_after_children()
            with contextlib.suppress(queue.Empty):
                self._answer(control.requests.get(timeout=POLL_SECONDS))
            if end is not None and time.monotonic() > end:
                say(f"ran for {self._run_for:.0f} s as asked")
                return

    def _look_after_children(self) -> None:
        for child in self.children:
            if child.state in (State.RUNNING, State.STARTING) and child.exit_code() is not None:
                self._on_death(child)
            elif child.state is State.EXITED and time.monotonic() >= self._due.get(child.name, 0.0):
                child.restarts += 1
                child.start()
                child.state = State.RUNNING
                self._save()

    def _on_death(self, child: Child) -> None:
        say(f"{child.name} {child.describe_end()}; its last lines:\n{child.last_lines()}")
        if time.monotonic() - child.started_at > STEADY_SECONDS:
            self._deaths[child.name] = 0
        deaths = self._deaths.get(child.name, 0)
        if deaths >= len(RESTART_BACKOFF_SECONDS):
            child.state = State.FAILED
            say(f"{child.name} died {deaths} times in a row and stays down: 'newsroom restart {child.name}'")
        else:
            wait = RESTART_BACKOFF_SECONDS[deaths]
            self._deaths[child.name] = deaths + 1
            self._due[child.name] = time.monotonic() + wait
            child.state = State.EXITED
            say(f"{child.name} is started again in {wait:g} s")
        self._save()

    def _answer(self, request: Request) -> None:
        try:
            actions: dict[str, Callable[..., list[str]]] = {
                "scale": self._scale, "kill": self._kill, "pause": self._pause,
                "resume": self._resume, "restart": self._restart, "down": self._down,
            }  # fmt: skip
            lines = actions[request.action](**request.arguments)
            for line in lines:
                say(line)
            request.answer.put({"lines": lines})
        except StackError as error:
            request.answer.put({"error": str(error)})
        self._save()

    def _down(self) -> list[str]:
        self.stopping.set()
        return ["stopping"]

    def _kill(self, name: str) -> list[str]:
        found = self._find(name)
        for child in found:
            child.state = State.KILLED
            child.signal(signal.SIGKILL)
            child.wait(END_SECONDS)
        return [
            f"{child.name}: killed (SIGKILL); it stays down until 'newsroom restart {child.name}'" for child in found
        ]

    def _pause(self, name: str) -> list[str]:
        found = self._find(name, running=True)
        for child in found:
            child.signal(signal.SIGSTOP)
            child.state = State.PAUSED
        return [f"{child.name}: paused" for child in found]

    def _resume(self, name: str) -> list[str]:
        found = [child for child in self._find(name) if child.state is State.PAUSED]
        for child in found:
            child.signal(signal.SIGCONT)
            child.state = State.RUNNING
        return [f"{child.name}: resumed" for child in found] or [f"{name} is not paused"]

    def _restart(self, name: str) -> list[str]:
        found = self._find(name)
        self._stop(found)
        for child in found:
            child.restarts += 1
            self._deaths[child.name] = 0
            child.start()
        self._wait_ready(found)
        return [f"{child.name}: restarted and ready" for child in found]

    def _scale(self, service: str, replicas: int) -> list[str]:
        service_kind(service)
        have = [child for child in self.children if child.member.service == service]
        if replicas < 0:
            raise StackError(f"{service} cannot run with {replicas} replicas")
        surplus = have[replicas:]
        self._stop(surplus)
        self.children = [child for child in self.children if child not in surplus]
        wanted = [self.plan.service(service, number) for number in range(len(have) + 1, replicas + 1)]
        added = [self._add(member) for member in wanted]
        self._wait_ready(added)
        return [f"{service}: {replicas} replicas"]

    def _find(self, name: str, *, running: bool = False) -> list[Child]:
        found = [child for child in self.children if name in (child.name, child.member.service)]
        if not found:
            known = ", ".join(child.name for child in self.children)
            raise StackError(f"there is no '{name}' in this stack: {known}")
        if running and not any(child.pid for child in found):
            raise StackError(f"{name} does not run")
        return [child for child in found if child.pid] if running else found

    # -- stop -----------------------------------------------------------------------------------------------

    def _stop_everything(self) -> None:
        failed = self.run.phase == "failed"
        self._phase("failed" if failed else "stopping", self.run.message if failed else "stopping everything in order")
        for roles in (("service", "connect"), ("registry",), ("broker",)):
            self._stop([child for child in self.children if child.member.role in roles])
        self.run.processes = []
        self._phase("failed" if failed else "stopped", self.run.message if failed else "everything is stopped")

    def _stop(self, children: Sequence[Child]) -> None:
        for child in children:
            child.ask_to_stop()
        start = time.monotonic()
        for child in children:
            limit = STOP_SECONDS[child.member.role]
            while not child.wait(POLL_SECONDS) and time.monotonic() - start < limit:
                if self._only_waits_for_a_successor(child, children):
                    break
            if child.pid is not None:
                if not self._only_waits_for_a_successor(child, children):
                    say(f"{child.name} did not stop within {limit:g} s and is killed")
                child.signal(signal.SIGKILL)
                child.wait(END_SECONDS)
            child.state = State.EXITED

    def _only_waits_for_a_successor(self, child: Child, stopping: Sequence[Child]) -> bool:
        """Whether this is the last broker of a stopping cluster, with everything it has to write written.

        Its controller then waits five seconds, without a setting for it, for a successor that cannot come. The
        marker says that its logs are closed: ended now, it starts without recovery.
        """
        if child.member.role != "broker" or any(each.pid for each in stopping if each is not child):
            return False
        return (self.plan.layout.data / child.name / "log" / ".kafka_cleanshutdown").exists()

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
                "create_time": child.create_time,
                "address": child.member.address,
                "probe": {"kind": child.member.probe.kind, "target": child.member.probe.target},
                "state": child.state.value,
                "restarts": child.restarts,
                "log": str(child.log),
            }
            for child in self.children
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


def port_is_free(port: int) -> bool:
    """Whether nothing listens on the loopback port."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def say(line: str) -> None:
    """One line of the supervisor's log."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Entry point of the supervisor's process."""
    parser = argparse.ArgumentParser(prog="newsroom_stack.supervisor")
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
