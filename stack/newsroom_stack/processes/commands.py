"""The supervisor's side of the commands `newsroom scale`, `kill`, `pause`, `resume` and `restart`."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from newsroom.waiting import Stopped
from newsroom_stack.catalogue import service_kind
from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.processes.crew import locked
from newsroom_stack.processes.runfile import END_SECONDS

if TYPE_CHECKING:
    from newsroom_stack.processes.crew import Crew
    from newsroom_stack.processes.plan import Plan


class Commands:
    """Carries out the commands, each in a thread of its own. Each returns what was done, one line per fact.

    Commands on different children run side by side. Those on the same child run one after another.
    """

    def __init__(self, crew: Crew, plan: Plan) -> None:
        self._crew = crew
        self._plan = plan
        actions = (self.scale, self.kill, self.pause, self.resume, self.restart)
        self._actions = {action.__name__: action for action in actions}
        self._scaling: dict[str, threading.Lock] = {}

    def answer(self, action: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command, and return its lines or its error."""
        try:
            return {"lines": self._actions[action](**arguments)}
        except StackError as error:
            return {"error": str(error)}
        except Stopped:
            return {"error": "the stack is being stopped"}

    def kill(self, name: str) -> list[str]:
        """Send SIGKILL: the process cannot clean up, and stays down until `restart`."""
        with self._crew.held(name) as children:
            for child in children:
                child.state = State.KILLED
                child.signal(signal.SIGKILL)
                child.wait(END_SECONDS)
        return [
            f"{child.name}: killed (SIGKILL); it stays down until 'newsroom restart {child.name}'" for child in children
        ]

    def pause(self, name: str) -> list[str]:
        """Send SIGSTOP: the process keeps its connections and does nothing."""
        with self._crew.held(name, running=True) as children:
            for child in children:
                child.signal(signal.SIGSTOP)
                child.state = State.PAUSED
        return [f"{child.name}: paused" for child in children]

    def resume(self, name: str) -> list[str]:
        """Send SIGCONT to what is paused."""
        with self._crew.held(name) as children:
            paused = [child for child in children if child.state is State.PAUSED]
            for child in paused:
                child.signal(signal.SIGCONT)
                child.state = State.RUNNING
        return [f"{child.name}: resumed" for child in paused] or [f"{name} is not paused"]

    def restart(self, name: str) -> list[str]:
        """Stop the process if it runs, start it, and wait until it is ready."""
        with self._crew.held(name) as children:
            self._crew.restart(children)
        return [f"{child.name}: restarted and ready" for child in children]

    def scale(self, service: str, replicas: int) -> list[str]:
        """Run this number of replicas: stop the last ones that are too many, start those that are down or missing."""
        service_kind(service)
        with self._scaling.setdefault(service, threading.Lock()):
            self._scale(service, replicas)
        return [f"{service}: {replicas} replicas"]

    def _scale(self, service: str, replicas: int) -> None:
        children = [child for child in self._crew.children if child.spec.service == service]
        if replicas < 0:
            raise StackError(f"{service} cannot run with {replicas} replicas")
        # The plan comes before any change: it refuses too many replicas as a whole.
        missing = [self._plan.service(service, number) for number in range(len(children) + 1, replicas + 1)]
        with locked(children[replicas:]):
            self._crew.remove(children[replicas:])
        new = [self._crew.add(spec) for spec in missing]
        down = [child for child in children[:replicas] if child.pid is None]
        with locked(down + new):
            self._crew.restart([child for child in down if child.pid is None])
            self._crew.wait_ready(new)
