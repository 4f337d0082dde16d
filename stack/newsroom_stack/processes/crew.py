"""The supervisor's children: added, waited for, looked after, stopped in order."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from newsroom.waiting import need
from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.processes.child import Child
from newsroom_stack.processes.logfiles import cut
from newsroom_stack.processes.runfile import END_SECONDS
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from newsroom.waiting import StopFlag
    from newsroom_stack.layout import Layout
    from newsroom_stack.processes.plan import Member

POLL_SECONDS = 0.1
"""How often the supervisor looks at its children and its commands."""

PROBE_INTERVAL_SECONDS = 0.25

STOP_SECONDS = {"service": 9.0, "connect": 9.0, "registry": 2.0, "broker": 6.5}
"""How long each role may take from SIGTERM until it is killed. Services and Connect stop side by side, then the
registry, then the brokers: 17.5 s at the most, inside the 20 s that Ctrl-C may take."""

STOP_ORDER = (("service", "connect"), ("registry",), ("broker",))
"""Clients before what they write to: each can still finish and commit."""

RESTART_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before a member that died by itself is started again; after the last one it stays failed."""

START_DEATHS = {"service": 2}
"""How often a member of a role may die, and is started again, while it is waited for. A service that cannot go on ends
and expects to be started again, also when a broker's leadership moves just then; whatever else dies has a reason
that stays."""

STEADY_SECONDS = 60.0
"""A member that ran for so long has recovered: its next death starts the waits from the first."""


class Crew:
    """Every process of one stack, each in the state it should be in.

    `changed` is called whenever what others may know of the crew has changed; `say` gets lines for the reader;
    `stopping` ends every wait.
    """

    def __init__(
        self, layout: Layout, stopping: StopFlag, *, say: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self.children: list[Child] = []
        self._layout = layout
        self._stopping = stopping
        self._say = say
        self._changed = changed
        self._deaths: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def add(self, member: Member) -> Child:
        """Start a member and keep it.

        Raises:
            StackError: it cannot be started.
        """
        child = Child(member, self._layout.log(member.name))
        child.start()
        self._deaths[child.name] = 0
        self.children.append(child)
        self._changed()
        return child

    def remove(self, children: Sequence[Child]) -> None:
        """Stop children and forget them."""
        self.stop(children)
        self.children = [child for child in self.children if child not in children]

    def replicas(self, service: str) -> list[Child]:
        """The children that run a service."""
        return [child for child in self.children if child.member.service == service]

    def find(self, name: str, *, running: bool = False) -> list[Child]:
        """The children that an instance's or a service's name means; with `running` those that have a process.

        Raises:
            StackError: there is none.
        """
        found = [child for child in self.children if name in (child.name, child.member.service)]
        if not found:
            known = ", ".join(child.name for child in self.children)
            raise StackError(f"there is no '{name}' in this stack: {known}")
        if running and not any(child.pid for child in found):
            raise StackError(f"{name} does not run")
        return [child for child in found if child.pid] if running else found

    def wait_ready(self, children: Sequence[Child], *, tell: Callable[[str], None] = lambda _: None) -> None:
        """Wait until each of them is ready; `tell` gets the name of the one that is waited for.

        Raises:
            StackError: one died, or was not ready within its deadline.
            Stopped: the stack is to stop.
        """
        for child in children:
            tell(child.name)
            self.wait(child.member.probe.missing, child.member.deadline, child.name, children)
            child.state = State.RUNNING
            self._say(f"{child.name}: ready in {time.monotonic() - child.started_at:.1f} s, {child.member.address}")
            self._changed()

    def wait(
        self, missing: Callable[[], str | None], seconds: float, what: str, children: Sequence[Child] = ()
    ) -> None:
        """Look after everything until nothing is missing, at most so many seconds.

        Raises:
            StackError: something is still missing, or one of `children` died.
            Stopped: the stack is to stop.
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
            pause=PROBE_INTERVAL_SECONDS,
            stop=self._stopping,
        )

    def _cannot_start(self, child: Child) -> bool:
        deaths = self._deaths.get(child.name, 0)
        waits = child.state is State.EXITED and deaths  # for its next start
        return child.exit_code() is not None and not waits and deaths >= START_DEATHS.get(child.member.role, 0)

    def look_after(self) -> None:
        """Notice who has died, start again whose time has come, and keep logs from filling the disk."""
        for child in self.children:
            cut(child.log)
            if child.state in (State.RUNNING, State.STARTING, State.PAUSED) and child.exit_code() is not None:
                self._on_death(child)
            elif child.state is State.EXITED and time.monotonic() >= self._due.get(child.name, 0.0):
                child.restarts += 1
                child.start()
                child.state = State.RUNNING
                self._changed()

    def _on_death(self, child: Child) -> None:
        self._say(f"{child.name} {child.describe_end()}; its last lines:\n{child.last_lines()}")
        if time.monotonic() - child.started_at > STEADY_SECONDS:
            self._deaths[child.name] = 0
        deaths = self._deaths.get(child.name, 0)
        if deaths >= len(RESTART_BACKOFF_SECONDS):
            child.state = State.FAILED
            self._say(f"{child.name} died {deaths} times in a row and stays down: 'newsroom restart {child.name}'")
        else:
            wait = RESTART_BACKOFF_SECONDS[deaths]
            self._deaths[child.name] = deaths + 1
            self._due[child.name] = time.monotonic() + wait
            child.state = State.EXITED
            self._say(f"{child.name} is started again in {wait:g} s")
        self._changed()

    def restart(self, children: Sequence[Child]) -> None:
        """Stop them if they run, start them and wait until they are ready; earlier deaths are forgiven.

        Raises:
            StackError: one is not ready within its deadline.
        """
        self.stop(children)
        for child in children:
            child.restarts += 1
            self._deaths[child.name] = 0
            child.start()
        self.wait_ready(children)

    def stop_all(self) -> None:
        """Stop every child, clients before what they write to."""
        for roles in STOP_ORDER:
            self.stop([child for child in self.children if child.member.role in roles])

    def stop(self, children: Sequence[Child]) -> None:
        """Ask them to stop, side by side; whoever takes longer than its role may is killed."""
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
                    self._say(f"{child.name} did not stop within {limit:g} s and is killed")
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
        return (self._layout.data / child.name / "log" / ".kafka_cleanshutdown").exists()
