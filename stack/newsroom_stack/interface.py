"""What can be done with a stack, as processes or as containers. The command line and the tests use only this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from newsroom_stack.errors import StackError
from newsroom_stack.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from newsroom_stack.settings import StackSettings


class State(StrEnum):
    """What a process or container is doing."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXITED = "exited"
    KILLED = "killed"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True)
class Instance:
    """One process or container of the stack, as `newsroom ps` shows it."""

    name: str
    service: str
    role: str
    pid: int | None
    address: str
    state: State
    ready: bool
    restarts: int
    memory_bytes: int
    missing: str = ""
    """Why it is not ready although it runs."""


Show = Callable[[str], None]


def silent(_: str) -> None:
    """Show nothing."""


def unknown_name(name: str, known: Iterable[str]) -> StackError:
    """The error of a command that names no instance and no service; it lists the instances."""
    return StackError(f"there is no '{name}' in this stack: {', '.join(known) or 'it does not run'}")


class Owner(ABC):
    """The command that started a stack in the foreground. The stack ends with it."""

    @abstractmethod
    def news(self) -> Iterator[str]:
        """What happens to the stack, one line per event, until the stack ends by itself."""

    @abstractmethod
    def stop(self) -> int:
        """Stop everything in order, wait until it has stopped, and return the exit code."""


class Stack(ABC):
    """A whole Newsroom: brokers, registry, Connect and services.

    Every method that waits has a deadline, and its `StackError` says what it waited for. `name` is an instance
    (`avro-consumer-2`) or a service (`avro-consumer`: all its instances). `show` gets lines for the reader.
    """

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.ports = Ports(settings.port_offset)

    @abstractmethod
    def running(self) -> bool:
        """Whether a stack runs or starts."""

    @abstractmethod
    def start(self, *, run_for: float | None = None, show: Show = silent) -> Owner:
        """Start everything, wait until it is ready, and own it; with `run_for` it ends that many seconds later."""

    @abstractmethod
    def up(self, *, run_for: float | None = None, show: Show = silent) -> None:
        """Start everything and wait until it is ready. It outlives the caller; `run_for` limits its seconds."""

    @abstractmethod
    def down(self, *, wipe: bool = False) -> list[str]:
        """Stop everything in order; with `wipe` delete the data too. Return what was done, one line per fact."""

    @abstractmethod
    def ps(self) -> list[Instance]:
        """Every instance with its current state."""

    def trouble(self) -> str | None:
        """What is wrong with the stack as a whole, and what to do; None when nothing is."""
        return None

    @abstractmethod
    def logs(self, name: str | None = None, *, follow: bool = False) -> Iterator[tuple[str, str]]:
        """Pairs of instance and log line, oldest first; with `follow` also new lines, until the caller stops."""

    @abstractmethod
    def scale(self, service: str, replicas: int) -> list[str]:
        """Run this number of replicas of a service, and wait until they are ready."""

    @abstractmethod
    def kill(self, name: str) -> list[str]:
        """Send SIGKILL; the instance stays down until `restart`."""

    @abstractmethod
    def pause(self, name: str) -> list[str]:
        """Freeze the instance (SIGSTOP): it keeps its connections and does nothing."""

    @abstractmethod
    def resume(self, name: str) -> list[str]:
        """Continue a paused instance."""

    @abstractmethod
    def restart(self, name: str) -> list[str]:
        """Stop the instance if it runs, start it, and wait until it is ready."""

    @abstractmethod
    def execute(self, name: str, *command: str) -> str:
        """Run a command in an instance's folder (or container), and return its output.

        Raises:
            StackError: there is no such instance, or the command failed.
        """
