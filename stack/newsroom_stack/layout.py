"""Where everything of a stack lives: settings, ports and folders. One place for each number."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from newsroom_stack.errors import StackError

REPOSITORY = Path(__file__).resolve().parents[2]
"""The clone: the stack runs the services, schemas and Connect configurations of its own checkout."""

LOOPBACK = "127.0.0.1"
BROKERS = 3
MAX_REPLICAS = 10
"""Replicas of one service on one machine: more than any topic here has partitions, so that an idle one can be
seen; each has a port of its own for health and metrics."""

SECOND_OFFSET = 200
"""What is advised when the ports are taken: no port of a stack so moved is one of a stack that is not, with all the
replicas that both may have."""


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "newsroom"


class StackSettings(BaseSettings):
    """Settings of the stack, as `NEWSROOM_…` environment variables."""

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_", frozen=True, extra="ignore")

    home: Path = Field(default=REPOSITORY / ".newsroom", description="data, logs and state of this stack")
    cache: Path = Field(default_factory=_user_cache, description="downloaded Kafka and registry")
    port_offset: int = Field(
        default=0, ge=0, le=15000, description="added to every port, so that two stacks can run side by side"
    )
    docker: bool = Field(default=False, description="run as containers, as --docker does")
    news_rate: float = Field(default=5.0, gt=0, description="headlines a second that the stack's producer sends")

    def as_environment(self) -> dict[str, str]:
        """The same settings as variables, for the supervisor's process."""
        return {f"NEWSROOM_{name.upper()}": str(value) for name, value in self}


def load_stack_settings() -> StackSettings:
    """Read the stack's settings.

    Raises:
        StackError: a variable has a wrong value; the message names it.
    """
    try:
        return StackSettings()
    except ValidationError as error:
        problems = [f"NEWSROOM_{str(e['loc'][0]).upper()}={e['input']!r}: {e['msg']}" for e in error.errors()]
        raise StackError("; ".join(problems)) from error


@dataclass(frozen=True)
class Ports:
    """Every port of a stack. The services' replicas count up from their first port."""

    offset: int = 0

    @property
    def brokers(self) -> tuple[int, ...]:
        """Client listeners of the brokers."""
        return tuple(self.offset + port for port in (29092, 39092, 49092))

    @property
    def controllers(self) -> tuple[int, ...]:
        """Controller listeners of the same nodes."""
        return tuple(self.offset + port for port in (29093, 39093, 49093))

    @property
    def registry(self) -> int:
        """The schema registry's API."""
        return self.offset + 8081

    @property
    def registry_health(self) -> int:
        """The schema registry's health and metrics."""
        return self.offset + 8082

    @property
    def connect(self) -> int:
        """Kafka Connect's REST API."""
        return self.offset + 8083

    @property
    def ui(self) -> int:
        """Kafka UI, which only the containers have."""
        return self.offset + 8080

    @property
    def status(self) -> int:
        """The status API and its page."""
        return self.offset + 8000

    def service(self, first: int, replica: int) -> int:
        """Health and metrics of a service's replica (counted from 1)."""
        return self.offset + first + replica - 1

    @property
    def bootstrap(self) -> str:
        """The brokers as a client's bootstrap.servers."""
        return ",".join(f"localhost:{port}" for port in self.brokers)

    @property
    def registry_url(self) -> str:
        """The registry's Confluent-compatible API."""
        return f"http://localhost:{self.registry}/apis/ccompat/v7"

    @property
    def status_url(self) -> str:
        """The status page."""
        return f"http://localhost:{self.status}"


@dataclass(frozen=True)
class Layout:
    """The folders of one stack, all below its home."""

    home: Path

    @property
    def data(self) -> Path:
        """What a restart keeps: brokers' logs, the registry's schemas, state of the services, sink files."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """What describes the running stack: its state file and locks."""
        return self.home / "run"

    @property
    def sink_file(self) -> Path:
        """The file the connector writes, under the lab's name."""
        return self.data / "connect" / "test.sink.txt"

    @property
    def consumed(self) -> Path:
        """JSON lines of the avro-consumer's replicas."""
        return self.data / "consumed"

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.logs / f"{name}.log"

    def broker(self, node: int) -> Path:
        """A broker's data."""
        return self.data / f"kafka-{node}"

    def state(self, service: str) -> Path:
        """The state volume of a service: its replicas take their slots there."""
        return self.data / "state" / service

    def delete(self) -> None:
        """Delete what a stack keeps, and nothing else: the home may be a folder that others use, too.

        Raises:
            StackError: something cannot be deleted.
        """
        for folder in (self.data, self.logs, self.run):
            try:
                if folder.exists():
                    shutil.rmtree(folder)
            except OSError as error:
                raise StackError(f"{error.filename or folder} cannot be deleted ({error.strerror})") from error
        with contextlib.suppress(OSError):  # not empty, or not there
            self.home.rmdir()

    def make(self) -> None:
        """Create the folders.

        Raises:
            StackError: the home cannot be written.
        """
        try:
            for folder in (self.data, self.logs, self.run, self.sink_file.parent, self.consumed):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{error.filename or self.home} cannot be written ({error.strerror}): free space or "
                "choose another folder with NEWSROOM_HOME"
            ) from error


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of `60s`, `5m`, `1.5h`, `500ms` or a bare number of seconds.

    Raises:
        StackError: the text is no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise StackError(f"'{text}' is no duration: write 60s, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2] or "s"]
