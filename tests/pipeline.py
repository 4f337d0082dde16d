"""The verbs of the integration tests: run a service once, wait for something, read a topic. Public doors only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from newsroom.topics import MAX_RECORD_BYTES
from newsroom_stack.layout import REPOSITORY, Layout, Ports
from newsroom_stack.observe import Observer
from newsroom_stack.plan import SERVICES
from newsroom_stack.processes import ProcessStack
from newsroom_stack.supervisor import port_is_free

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom_stack.layout import StackSettings

T = TypeVar("T")

POLL_SECONDS = 0.25
COMMAND_SECONDS = 60.0
ANSI = re.compile(r"\x1b\[[0-9;]*m")


OFFSETS = range(1000, 15000, 700)
"""Where a test stack may move its ports, beside a stack that the developer runs."""


def every_port(offset: int) -> list[int]:
    """The ports of a stack with one replica of each service."""
    ports = Ports(offset)
    services = [ports.service(kind.first_port, 1) for kind in SERVICES]
    return [*ports.brokers, *ports.controllers, ports.registry, ports.registry_health, ports.connect, *services]


def free_offset() -> int:
    """An offset at which every port of a stack is free."""
    for offset in OFFSETS:
        if all(port_is_free(port) for port in every_port(offset)):
            return offset
    raise AssertionError(f"no free ports at any of the offsets {list(OFFSETS)}")


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Wait until `probe` gives something true, and return it; fail with what was awaited and last seen."""
    end = time.monotonic() + seconds
    while True:
        seen = probe()
        if seen:
            return seen
        assert time.monotonic() < end, f"{what}: not seen within {seconds:g} s, last seen {seen!r}"
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line it wrote."""
        return self.output.strip().splitlines()[-1]


class Pipeline:
    """A running stack, and everything a test does with it."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.ports = Ports(settings.port_offset)
        self.layout = Layout(settings.home)
        self.stack = ProcessStack(settings)
        self.observer = Observer(self.ports.bootstrap)

    def command(
        self,
        *command: str,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> Finished:
        """Run one of our commands against this stack until it ends."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
            cwd=REPOSITORY,
            env=self.environment() | dict(env or {}),
        )
        return Finished(done.returncode, ANSI.sub("", done.stdout))

    def environment(self) -> dict[str, str]:
        """The variables that point a command at this stack."""
        return {
            **os.environ,
            **self.settings.as_environment(),
            "NEWSROOM_BOOTSTRAP_SERVERS": self.ports.bootstrap,
            "NEWSROOM_REGISTRY_URL": self.ports.registry_url,
        }

    def rounds(self, number: int) -> Finished:
        """Send rounds of the lab's strings."""
        return self.command("news-producer", "--format", "string", "--rounds", str(number))

    def send(self, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
        """Write raw records and wait until they are delivered."""
        config = {"bootstrap.servers": self.ports.bootstrap, "partitioner": "murmur2_random"}
        producer = Producer(config | {"message.max.bytes": MAX_RECORD_BYTES})
        failures: list[str] = []
        for key, value in records:
            producer.produce(
                topic, key=key, value=value, on_delivery=lambda error, _: failures.append(str(error)) if error else None
            )
        assert producer.flush(30) == 0
        assert not failures

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic of the test's own and wait until it has leaders."""
        admin = AdminClient({"bootstrap.servers": self.ports.bootstrap})
        admin.create_topics([NewTopic(name, partitions, 3)])[name].result(COMMAND_SECONDS)
        wait_for(
            f"topic {name}", lambda: name in admin.list_topics(timeout=10).topics and self.observer.end_offsets(name)
        )

    def log(self, name: str) -> str:
        """What a process has written."""
        return ANSI.sub("", self.layout.log(name).read_text(errors="replace"))

    def api(self, path: str) -> httpx.Response:
        """Ask the status API."""
        return httpx.get(f"{self.ports.status_url}{path}", timeout=10)

    def total(self, topic: str) -> int:
        """Records in a topic that is not written in transactions."""
        return sum(self.observer.end_offsets(topic).values())

    def quiet(self) -> None:
        """Wait until the word count has processed everything there is in `mytopic`, and the join its counts."""
        for group, topic in (
            ("wordcount-stream", "mytopic"),
            ("wordcount-stream", "word-deltas"),
            ("join-service", "word-counts"),
        ):
            ends = self.observer.end_offsets(topic)
            wait_for(f"{group} past {topic}", partial(self.observer.passed, group, topic, ends))
