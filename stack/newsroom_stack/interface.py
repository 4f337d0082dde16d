"""What can be done with a stack, whichever way it runs. The command line, tests, lab and faults use only this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


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


class Stack(ABC):
    """A whole Newsroom: brokers, registry, Connect and services.

    Every method that waits has a deadline and raises a `StackError` that says what it waited for. `name` is an
    instance (`avro-consumer-2`) or a service (`avro-consumer`: all its instances).
    """

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
