"""What a running stack does when told: the supervisor's side of `newsroom scale`, `kill`, `pause` and so on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from newsroom.waiting import Stopped
from newsroom_stack.catalogue import service_kind
from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.processes.runfile import END_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom_stack.processes.control import Request
    from newsroom_stack.processes.crew import Crew
    from newsroom_stack.processes.plan import Plan


class Commands:
    """Carries out one command at a time. Each returns what was done, a line each."""

    def __init__(self, crew: Crew, plan: Plan) -> None:
        self._crew = crew
        self._plan = plan
        self._actions: dict[str, Callable[..., list[str]]] = {
            "scale": self.scale, "kill": self.kill, "pause": self.pause,
            "resume": self.resume, "restart": self.restart,
        }  # fmt: skip

    def answer(self, request: Request) -> list[str]:
        """Carry a request out and answer it; the lines of the answer are returned, none after an error."""
        try:
            lines = self._actions[request.action](**request.arguments)
        except StackError as error:
            request.answer.put({"error": str(error)})
            return []
        except Stopped:
            request.answer.put({"error": "the stack is being stopped"})
            raise
        request.answer.put({"lines": lines})
        return lines

    def kill(self, name: str) -> list[str]:
        """SIGKILL: no chance to finish; it stays down until `restart`."""
        found = self._crew.find(name)
        for child in found:
            child.state = State.KILLED
            child.signal(signal.SIGKILL)
            child.wait(END_SECONDS)
        return [
            f"{child.name}: killed (SIGKILL); it stays down until 'newsroom restart {child.name}'" for child in found
        ]

    def pause(self, name: str) -> list[str]:
        """SIGSTOP: it holds its connections and does nothing."""
        found = self._crew.find(name, running=True)
        for child in found:
            child.signal(signal.SIGSTOP)
            child.state = State.PAUSED
        return [f"{child.name}: paused" for child in found]

    def resume(self, name: str) -> list[str]:
        """SIGCONT for what is paused."""
        found = [child for child in self._crew.find(name) if child.state is State.PAUSED]
        for child in found:
            child.signal(signal.SIGCONT)
            child.state = State.RUNNING
        return [f"{child.name}: resumed" for child in found] or [f"{name} is not paused"]

    def restart(self, name: str) -> list[str]:
        """Stop it if it runs, start it, wait until it is ready."""
        found = self._crew.find(name)
        self._crew.restart(found)
        return [f"{child.name}: restarted and ready" for child in found]

    def scale(self, service: str, replicas: int) -> list[str]:
        """Run so many replicas of a service: the surplus ones stopped from the last, those that are down started."""
        service_kind(service)
        have = self._crew.replicas(service)
        if replicas < 0:
            raise StackError(f"{service} cannot run with {replicas} replicas")
        # Made before anything changes: too many replicas are refused as a whole.
        wanted = [self._plan.service(service, number) for number in range(len(have) + 1, replicas + 1)]
        self._crew.remove(have[replicas:])
        added = [self._crew.add(member) for member in wanted]
        self._crew.restart([child for child in have[:replicas] if child.pid is None])
        self._crew.wait_ready(added)
        return [f"{service}: {replicas} replicas"]
