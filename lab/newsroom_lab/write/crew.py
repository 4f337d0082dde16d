"""The members of a program under trial: processes that are started, killed, frozen and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom_lab.programs import ProgramFailed, Running
from newsroom_lab.write.audit import STOP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LAST_LINES = 3


class Member(Running):
    """A process and those that it has started: signals go to all of them, for the command may be a shell."""

    def signal_all(self, number: int) -> None:
        """Send a signal to the process and to its children."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def death(self) -> str:
        """How it ended by itself, with its last lines; empty while it runs."""
        if self.code is None:
            return ""
        return f"exit code {self.code}: {' / '.join(self.lines()[-LAST_LINES:]) or 'it wrote nothing'}"


class Crew:
    """All members. A member that is started again has the number and the folder of the one before it."""

    def __init__(
        self,
        command: tuple[str, ...],
        variables: Mapping[str, str],
        folder: Path,
        note: Callable[[str], None],
    ) -> None:
        self._command = command
        self._variables = variables
        self._folder = folder
        self._note = note
        self._members: dict[int, Member] = {}
        self._past: list[str] = []
        self.deaths: list[str] = []

    @property
    def numbers(self) -> list[int]:
        """The members that should run."""
        return sorted(self._members)

    def start(self, number: int) -> None:
        """Start a member.

        Raises:
            ProgramFailed: there is no such program.
        """
        state = self._folder / f"member-{number}"
        state.mkdir(exist_ok=True)
        variables = {**self._variables, "LAB_MEMBER": str(number), "LAB_STATE": str(state)}
        try:
            # The learner's own folder: the command may name a file of it.
            self._members[number] = Member(self._command, variables, Path.cwd())
        except OSError as error:
            raise ProgramFailed(
                f"'{self._command[0]}' cannot be started: {error.strerror} (from {Path.cwd()}, with the lab's PATH)"
            ) from error
        self._note(f"member {number} starts")

    def kill(self, number: int) -> None:
        """End a member with kill -9."""
        member = self._members.pop(number)
        self._died(number, member)
        self._end(member)
        self._note(f"member {number} is killed")

    def hold(self, number: int) -> None:
        """Stop a member's time for a moment."""
        self._members[number].signal_all(signal.SIGSTOP)

    def release(self, number: int) -> None:
        """Let it go on."""
        self._members[number].signal_all(signal.SIGCONT)

    def freeze(self, number: int) -> None:
        """Stop a member's time."""
        self.hold(number)
        self._note(f"member {number} is frozen")

    def thaw(self, number: int) -> None:
        """Let a frozen member go on."""
        self.release(number)
        self._note(f"member {number} goes on")

    def leave(self, number: int) -> float:
        """Stop a member with SIGTERM; how long it took, in seconds. One that does not end is killed."""
        member = self._members.pop(number)
        self._died(number, member)
        start = time.monotonic()
        member.signal_all(signal.SIGTERM)
        with contextlib.suppress(ProgramFailed):
            member.wait(STOP_SECONDS + 0.5)
        seconds = time.monotonic() - start
        self._end(member)
        self._note(f"member {number} is stopped, in {seconds:.1f} s")
        return seconds

    def look(self) -> None:
        """Notice members that ended by themselves, and start them again, as a supervisor would."""
        for number, member in list(self._members.items()):
            if self._died(number, member):
                self._end(member)
                self.start(number)

    def _died(self, number: int, member: Member) -> str:
        death = member.death()
        if death:
            self.deaths.append(f"member {number} ended by itself with {death}")
            self._note(f"member {number} ends by itself, exit code {member.code}")
        return death

    def _end(self, member: Member) -> None:
        member.signal_all(signal.SIGKILL)
        member.kill()
        self._past += member.lines()

    def finish(self, seconds: float) -> list[int | None]:
        """Wait for programs that end by themselves; their exit codes, None for one that did not end."""
        codes: list[int | None] = []
        end = time.monotonic() + seconds
        for number in self.numbers:
            member = self._members.pop(number)
            try:
                codes.append(member.wait(max(0.1, end - time.monotonic())))
            except ProgramFailed:
                codes.append(None)
            self._note(f"member {number} has ended, exit code {codes[-1]}")
            self._end(member)
        return codes

    def stop(self) -> float:
        """Stop all members; the longest time that one took, in seconds."""
        return max([self.leave(number) for number in self.numbers], default=0.0)

    def abandon(self) -> None:
        """End what is left, whatever state it is in."""
        for number in self.numbers:
            self._end(self._members.pop(number))

    def lines(self) -> list[str]:
        """What all members wrote."""
        return [*self._past, *(line for member in self._members.values() for line in member.lines())]
