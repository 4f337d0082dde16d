"""The supervisor's children: it adds them, waits for them, restarts them and stops them in order."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from typing import TYPE_CHECKING

from newsroom.errors import LastingFailure
from newsroom.waiting import RESTORING, Deadline, Stopped, need
from newsroom_stack.errors import StackError
from newsroom_stack.interface import State, unknown_name
from newsroom_stack.probes import FAILED
from newsroom_stack.processes.child import Child
from newsroom_stack.processes.logfiles import cut
from newsroom_stack.processes.runfile import END_SECONDS
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from newsroom.waiting import StopFlag
    from newsroom_stack.layout import Layout
    from newsroom_stack.processes.plan import ProcessSpec

POLL_SECONDS = 0.1
"""Pause between two looks at the children and the commands."""

PROBE_POLL_SECONDS = 0.25
"""Pause between two probes of a child that starts: a probe costs more than a look."""

STOP_SECONDS = {"service": 9.0, "connect": 9.0, "registry": 2.0, "broker": 6.5}
"""Seconds from SIGTERM to SIGKILL for each role. Services and Connect stop side by side, then the registry, then the
brokers: 17.5 s at most, less than the 20 s that Ctrl-C may take."""

STOP_ORDER = (("service", "connect"), ("registry",), ("broker",))
"""Clients stop before their servers, so that each can finish and commit."""

RESTART_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each new start of a process that died by itself. After the last one it stays failed."""

START_DEATHS = {"service": 2}
"""How often a process of a role may die while the crew waits for its readiness. A service that cannot continue ends
and expects a new start, for example when a broker's leadership moves. The other roles die for a lasting reason."""

FAILED_SECONDS = 3.0
"""A connector or task that is failed for this long stays so: Connect does not start it again by itself."""

STEADY_SECONDS = 60.0
"""A process that ran this long has recovered: after its next death the waits start from the first."""


class Crew:
    """Every process of one stack.

    The crew calls `changed` whenever the state file must change, and `say` with lines for the reader. `stopping` ends
    every wait, and no process is started after it.

    Several threads use a crew: the supervisor's own, which looks after all children, and one for each command. A
    command holds the children that it changes.
    """

    def __init__(
        self, layout: Layout, stopping: StopFlag, *, say: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self.children: list[Child] = []
        self._layout = layout
        self._stopping = stopping
        self._say = say
        self._changed = changed
        self._adding = threading.Lock()
        """Held by whoever changes `children`."""

    def add(self, spec: ProcessSpec) -> Child:
        """Start a process and keep it.

        Raises:
            StackError: it cannot be started.
        """
        child = Child(spec, self._layout.log(spec.name))
        with self._adding:
            self._start(child)
            self.children.append(child)
        self._changed()
        return child

    def _start(self, child: Child) -> None:
        if self._stopping:
            raise Stopped(child.name)
        child.start()

    def remove(self, children: Sequence[Child]) -> None:
        """Stop children and forget them."""
        self.stop(children)
        # Another command may add a child just now.
        with self._adding:
            self.children = [child for child in self.children if child not in children]

    def find(self, name: str, *, running: bool = False) -> list[Child]:
        """The children of an instance's or a service's name; with `running` only those that run.

        Raises:
            StackError: there is none.
        """
        children = [child for child in self.children if name in (child.name, child.spec.service)]
        if not children:
            raise unknown_name(name, [child.name for child in self.children])
        alive = [child for child in children if child.pid]
        if running and not alive:
            raise StackError(f"{name} does not run")
        return alive if running else children

    @contextlib.contextmanager
    def held(self, name: str, *, running: bool = False) -> Iterator[list[Child]]:
        """The children of a name, which no other command changes meanwhile.

        Raises:
            StackError: there is none.
        """
        children = self.find(name)
        with locked(children):
            # The command that held them before may have removed one.
            yield [child for child in self.find(name, running=running) if child in children]

    def wait_ready(self, children: Sequence[Child], *, tell: Callable[[str], None] = lambda _: None) -> None:
        """Wait until each of them is ready; `tell` gets the name of the current one.

        Raises:
            StackError: one died, or was not ready within its deadline.
            Stopped: the stack stops.
        """
        for child in children:
            tell(child.name)
            self._wait_for(child, children)
            child.state = State.RUNNING
            self._say(f"{child.name}: ready in {time.monotonic() - child.started_at:.1f} s, {child.spec.address}")
            self._changed()

    def _wait_for(self, child: Child, children: Sequence[Child]) -> None:
        progress = ""
        while True:
            try:
                return self.wait(_unless_it_failed(child), child.spec.deadline, child.name, children)
            except StackError:
                missing = child.spec.probe.missing()
                # A large state takes its time: the deadline holds for each step of it.
                if child.exit_code() is not None or RESTORING not in (missing or RESTORING) or missing == progress:
                    raise
                progress = missing or ""
                self._say(f"{child.name}: {missing or 'ready'}")

    def wait(
        self, missing: Callable[[], str | None], seconds: float, what: str, children: Sequence[Child] = ()
    ) -> None:
        """Look after every child until nothing is missing.

        Raises:
            StackError: something is still missing after so many seconds, or one of `children` died.
            Stopped: the stack stops.
        """

        def attempt() -> None:
            for child in children:
                if self._cannot_start(child):
                    raise StackError(f"{child.name} {child.describe_end()} while starting:\n{child.last_lines()}")
            self.look_after()
            need(missing())

        wait_until(
            attempt,
            seconds,
            lambda missing: StackError(f"{what} was not ready within {seconds:.0f} s: {missing}"),
            pause=PROBE_POLL_SECONDS,
            stop=self._stopping,
        )

    def _cannot_start(self, child: Child) -> bool:
        if _ended_for_good(child):
            return True
        awaits_restart = child.state is State.EXITED and child.deaths > 0
        too_often = child.deaths >= START_DEATHS.get(child.spec.role, 0)
        return child.exit_code() is not None and too_often and not awaits_restart

    def look_after(self) -> None:
        """Notice deaths, start the dead again when it is time, and keep logs from filling the disk.

        A child that a command of another thread holds is left to it.
        """
        for child in self.children:
            if child.lock.acquire(blocking=False):
                try:
                    self._look_after(child)
                finally:
                    child.lock.release()

    def _look_after(self, child: Child) -> None:
        cut(child.log)
        if child.state in (State.RUNNING, State.STARTING, State.PAUSED) and child.exit_code() is not None:
            self._on_death(child)
        elif child.state is State.EXITED and time.monotonic() >= child.restart_at:
            child.restarts += 1
            self._start(child)
            self._changed()

    def _on_death(self, child: Child) -> None:
        self._say(f"{child.name} {child.describe_end()}; its last lines:\n{child.last_lines()}")
        if time.monotonic() - child.started_at > STEADY_SECONDS:
            child.deaths = 0
        if _ended_for_good(child):
            child.state = State.FAILED
            self._say(
                f"{child.name} stays down, because a new start would end alike: mend the cause, then "
                f"'newsroom restart {child.name}'"
            )
        elif child.deaths >= len(RESTART_BACKOFF_SECONDS):
            child.state = State.FAILED
            self._say(
                f"{child.name} died {child.deaths} times in a row and stays down: 'newsroom restart {child.name}'"
            )
        else:
            wait = RESTART_BACKOFF_SECONDS[child.deaths]
            child.deaths += 1
            child.restart_at = time.monotonic() + wait
            child.state = State.EXITED
            self._say(f"{child.name} is started again in {wait:g} s")
        self._changed()

    def restart(self, children: Sequence[Child]) -> None:
        """Stop them if they run, start them, wait until they are ready, and forget earlier deaths.

        Raises:
            StackError: one is not ready within its deadline.
        """
        self.stop(children)
        for child in children:
            child.restarts += 1
            child.deaths = 0
            self._start(child)
        self.wait_ready(children)

    def stop_all(self) -> None:
        """Stop every child, clients before their servers. `stopping` is set: no command adds or starts one."""
        with self._adding:
            everyone = list(self.children)
        for roles in STOP_ORDER:
            children = [child for child in everyone if child.spec.role in roles]
            with locked(children):
                self.stop(children)

    def stop(self, children: Sequence[Child]) -> None:
        """Ask them to stop, side by side, and kill each that exceeds its role's time."""
        for child in children:
            child.ask_to_stop()
        deadlines = [Deadline(STOP_SECONDS[child.spec.role]) for child in children]
        for child, deadline in zip(children, deadlines, strict=True):
            if not self._stops_in_time(child, deadline, children):
                self._say(f"{child.name} did not stop within {deadline.seconds:g} s and is killed")
            child.signal(signal.SIGKILL)
            child.wait(END_SECONDS)
            child.state, child.restart_at = State.EXITED, math.inf

    def _stops_in_time(self, child: Child, deadline: Deadline, stopping: Sequence[Child]) -> bool:
        # Not `wait_until`: the child's end ends the pause.
        while not child.wait(POLL_SECONDS):
            if self._only_waits_for_a_successor(child, stopping):
                return True
            if deadline.passed():
                return False
        return True

    def _only_waits_for_a_successor(self, child: Child, stopping: Sequence[Child]) -> bool:
        """Whether this is the last broker of a stopping cluster, and has written everything.

        Its controller then waits five seconds for a successor that cannot come, and no setting shortens that. The
        marker says that its logs are closed: it can be killed now, and its next start needs no recovery.
        """
        if child.spec.role != "broker" or any(other.pid for other in stopping if other is not child):
            return False
        return (self._layout.data / child.name / "log" / ".kafka_cleanshutdown").exists()


def _ended_for_good(child: Child) -> bool:
    return child.spec.role == "service" and child.exit_code() == LastingFailure.exit_code


def _unless_it_failed(child: Child) -> Callable[[], str | None]:
    """The question whether the child is ready, which ends a wait for a connector that nothing starts again."""
    failed_at: float | None = None

    def missing() -> str | None:
        nonlocal failed_at
        text = child.spec.probe.missing()
        if text is None or FAILED not in text:
            failed_at = None
        elif failed_at is None:
            failed_at = time.monotonic()
        elif time.monotonic() - failed_at >= FAILED_SECONDS:
            raise StackError(f"{child.name} is not ready: {text}")
        return text

    return missing


@contextlib.contextmanager
def locked(children: Sequence[Child]) -> Iterator[None]:
    """Hold these children. Every caller lists them in the crew's order, so that no two wait for each other."""
    with contextlib.ExitStack() as locks:
        for child in children:
            locks.enter_context(child.lock)
        yield
