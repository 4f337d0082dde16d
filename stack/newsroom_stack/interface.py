"""What can be done with a stack, whichever way it runs. The command line and the tests use only this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.ports import Ports
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

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self)


Show = Callable[[str], None]


def silent(_: str) -> None:
    """Show nothing."""


class Owner(ABC):
    """Whoever started a stack in the foreground: the stack ends with it."""

    @abstractmethod
    def news(self) -> Iterator[str | None]:
        """What happens to the stack, a line each, until it ends by itself; None whenever nothing does for now."""

    @abstractmethod
    def stop(self) -> int:
        """Stop everything in order and wait for that; the exit code to end with."""


class Stack(ABC):
    """A whole Newsroom: brokers, registry, Connect and services.

    Every method that waits has a deadline and raises a `StackError` that says what it waited for. `name` is an
    instance (`avro-consumer-2`) or a service (`avro-consumer`: all its instances). `show` gets lines for the reader.
    """

    settings: StackSettings
    ports: Ports

    @abstractmethod
    def running(self) -> bool:
        """Whether a stack is up, or on its way."""

    @abstractmethod
    def start(self, *, run_for: float | None = None, show: Show = silent) -> Owner:
        """Start everything, wait until it is ready, and own it; with `run_for` it ends so many seconds later."""

    @abstractmethod
    def up(self, *, run_for: float | None = None, show: Show = silent) -> None:
        """Start everything and wait until it is ready; it stays when the caller ends, with `run_for` for so long."""

    @abstractmethod
    def down(self, *, wipe: bool = False) -> list[str]:
        """Stop everything in order; with `wipe` delete the data too. Returns what was done, a line each."""

    @abstractmethod
    def ps(self) -> list[Instance]:
        """Every instance with its state now."""

    @abstractmethod
    def logs(self, name: str | None = None, *, follow: bool = False) -> Iterator[tuple[str, str]]:
        """Pairs of instance and log line, oldest first; with `follow` as they come, until the caller stops."""

    @abstractmethod
    def scale(self, service: str, replicas: int) -> list[str]:
        """Run so many replicas of a service and wait until they are ready."""

    @abstractmethod
    def kill(self, name: str) -> list[str]:
        """Send SIGKILL; the instance stays down until `restart`."""

    @abstractmethod
    def pause(self, name: str) -> list[str]:
        """Stop the instance's clock (SIGSTOP): it holds its connections and does nothing."""

    @abstractmethod
    def resume(self, name: str) -> list[str]:
        """Let a paused instance go on."""

    @abstractmethod
    def restart(self, name: str) -> list[str]:
        """Stop the instance if it runs, start it and wait until it is ready."""

    @abstractmethod
    def execute(self, name: str, *command: str) -> str:
        """Run a command where an instance runs, in its folder, and return what it wrote.

        Raises:
            StackError: there is no such instance, or the command failed.
        """
