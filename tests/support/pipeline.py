"""The verbs of the integration and end-to-end tests, through public doors only: run, wait, write, read."""

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO

import httpx
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from typing_extensions import override

from newsroom.topics import MAX_RECORD_BYTES
from newsroom_stack.catalogue import SERVICES
from newsroom_stack.interface import Stack
from newsroom_stack.jvm.artifacts import ensure_artifacts
from newsroom_stack.jvm.progress import LineProgress
from newsroom_stack.layout import REPOSITORY, Layout
from newsroom_stack.pipeline.observe import Observer, Record
from newsroom_stack.ports import Ports, port_is_free
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import StackSettings
from support.waiting import wait_for

HTTP_OK = 200
COMMAND_SECONDS = 60.0
KEYS = range(21)
"""The lab's keys, `key0` to `key20`."""

ANSI = re.compile(r"\x1b\[[0-9;]*m")

OFFSETS = range(1000, 15000, 700)
"""Where a test stack may move its ports, beside a stack that the developer runs."""

_LOCKS: dict[int, TextIO] = {}
"""The offsets of this process; the kernel unlocks them when it ends."""


def every_port(offset: int) -> list[int]:
    """The ports of a stack with one replica of each service."""
    ports = Ports(offset)
    services = [ports.service(kind.first_port, 1) for kind in SERVICES]
    return [*ports.brokers, *ports.controllers, ports.registry, ports.registry_health, ports.connect, *services]


def free_offset() -> int:
    """An offset at which every port of a stack is free, which no other process of tests gets while this one lives."""
    for offset in OFFSETS:
        if _locked(offset) and all(port_is_free(port) for port in every_port(offset)):
            return offset
    raise AssertionError(f"no free ports at any of the offsets {list(OFFSETS)}")


def _locked(offset: int) -> bool:
    """Whether this process holds the offset's lock: two runs that begin together both see its ports free."""
    if offset not in _LOCKS:
        lock = (Path(tempfile.gettempdir()) / f"newsroom-tests-{os.getuid()}-{offset}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        _LOCKS[offset] = lock
    return True


@dataclass(frozen=True)
class Answer:
    """What an address answered; a status of 0 is none."""

    status: int
    text: str

    def json(self) -> Any:  # noqa: ANN401 - JSON values
        """The body, which must be JSON of a good answer."""
        assert self.status == HTTP_OK, f"{self.status}: {self.text}"
        return json.loads(self.text)


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line it wrote."""
        return self.output.strip().splitlines()[-1]


def run(*command: str, env: Mapping[str, str], seconds: float, stdin: str | None = None) -> Finished:
    """Run a command in the repository until it ends."""
    done = subprocess.run(
        command,
        input=stdin or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
        cwd=REPOSITORY,
        env=env,
    )
    return Finished(done.returncode, ANSI.sub("", done.stdout))


class Observing(Protocol):
    """What is read from a cluster: `newsroom_stack.observe.Observer`, or one that sits in the compose network."""

    def end_offsets(self, topic: str) -> dict[int, int]: ...
    def committed(self, group: str, topic: str) -> dict[int, int]: ...
    def passed(self, group: str, topic: str, ends: dict[int, int]) -> bool: ...
    def read(self, topic: str, since: Mapping[int, int] | None = None) -> list[Record]: ...
    def counts(self) -> dict[str, int]: ...
    def joined(self, since: Mapping[int, int] | None = None) -> list[tuple[str, int, str]]: ...


class Pipeline(ABC):
    """A running stack, and everything a test does with it, whichever way it runs."""

    stack: Stack
    observer: Observing
    scratch: str
    """A folder in which a command may write."""

    @abstractmethod
    def command(self, *command: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> Finished:
        """Run one of our commands against this stack until it ends."""

    @abstractmethod
    def send(self, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
        """Write raw records and wait until they are delivered."""

    @abstractmethod
    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic of the test's own and wait until it has leaders."""

    @abstractmethod
    def api(self, path: str) -> Answer:
        """Ask the status API."""

    @abstractmethod
    def registry(self, path: str) -> Answer:
        """Ask the schema registry."""

    @abstractmethod
    def kafka(self, tool: str, *arguments: str) -> str:
        """The output of one of Kafka's own tools."""

    @abstractmethod
    def read_file(self, path: str) -> str:
        """A file that a command has written."""

    def all_ready(self) -> bool:
        """Whether every instance is ready."""
        return all(instance.ready for instance in self.stack.ps())

    def group(self, name: str) -> dict[str, Any] | None:
        """A consumer group as the status API sees it; None while it has no answer."""
        answer = self.api(f"/api/v1/groups/{name}")
        group: dict[str, Any] | None = answer.json() if answer.status == HTTP_OK else None
        return group

    def owners(self, group: str) -> dict[str, list[tuple[str, int]]]:
        """Each member of a stable group and what it owns; nobody while it is not stable.

        While a group rebalances, its coordinator tells the new members beside the assignment of the last generation.
        """
        state = self.group(group)
        if state is None or state["state"] != "Stable":
            return {}
        return {
            member["id"]: sorted((topic, partition) for topic, partition in member["assignment"])
            for member in state["members"]
        }

    def spread(self, group: str, topic: str, members: int, partitions: int = 6) -> dict[str, list[tuple[str, int]]]:
        """Wait until so many members own all partitions of a topic, each exactly once; the owners."""

        def owners() -> dict[str, list[tuple[str, int]]] | None:
            owners = self.owners(group)
            owned = sorted(number for mine in owners.values() for name, number in mine if name == topic)
            return owners if len(owners) == members and owned == list(range(partitions)) else None

        return wait_for(f"{members} members of {group} own {partitions} partitions, each once", owners, 90)

    def consume(self, topic: str, group: str, *options: str) -> list[dict[str, Any]]:
        """Run an avro-consumer of its own until the topic is silent for four seconds; what it wrote."""
        folder = f"{self.scratch}/{group}-{uuid.uuid4().hex[:6]}"
        files = ("--sink", f"{folder}/sink", "--state-dir", f"{folder}/state")
        done = self.command("avro-consumer", "--topic", topic, "--group", group, "--idle-exit", "4", *files, *options)
        assert done.code == 0, done.output
        assert "No new messages, waiting 3 seconds" in done.output
        return [json.loads(line) for line in self.read_file(f"{folder}/sink/consumed-0.jsonl").splitlines()]

    def quorum_leader(self) -> int:
        """The leader of the metadata quorum, as Kafka's own tool tells it."""
        status = self.kafka("metadata-quorum", "describe", "--status")
        match = re.search(r"LeaderId:\s+(\d+)", status)
        assert match, status
        return int(match[1])

    def log(self, name: str) -> str:
        """What an instance has written."""
        return ANSI.sub("", "\n".join(line for _, line in self.stack.logs(name)))

    def rounds(self, number: int) -> Finished:
        """Send rounds of the lab's strings."""
        return self.command("news-producer", "--format", "string", "--rounds", str(number))

    def label(self, words: Iterable[str], label: str) -> Finished:
        """Send labels to `word`, the stream side of the join."""
        lines = "".join(json.dumps({"key": word, "value": label}) + "\n" for word in words)
        options = ("--format", "string", "--topic", "word", "--source", "-", "--input-format", "jsonl")
        return self.command("news-producer", *options, stdin=lines)

    def total(self, topic: str) -> int:
        """Records in a topic that is not written in transactions."""
        return sum(self.observer.end_offsets(topic).values())

    def quiet(self, seconds: float = COMMAND_SECONDS) -> None:
        """Wait until the word count has processed everything there is in `mytopic`, and the join its counts."""
        for group, topic in (
            ("wordcount-stream", "mytopic"),
            ("wordcount-stream", "word-deltas"),
            ("join-service", "word-counts"),
        ):
            ends = self.observer.end_offsets(topic)
            wait_for(f"{group} past {topic}", partial(self.observer.passed, group, topic, ends), seconds)

    def count_rounds_and_join_all(self, rounds: int) -> dict[str, int]:
        """The lab's story: every word counted so many more times, and joined with a label; the counts."""
        self.quiet()
        before = self.observer.counts()
        done = self.rounds(rounds)
        assert done.code == 0, done.output
        assert 'Sending message with key "key20" and value "filter20"' in done.output
        wanted = {f"value{i}": before.get(f"value{i}", 0) + rounds for i in KEYS}

        def counted() -> bool:
            counts = self.observer.counts()
            return {word: counts.get(word) for word in wanted} == wanted

        wait_for(f"every valueN counted {rounds} more", counted)
        assert not [word for word in self.observer.counts() if "filter" in word]
        self.quiet()
        before_join = self.observer.end_offsets("words-joined")
        sent = self.label(wanted, "active")
        assert sent.code == 0, sent.output
        expected = sorted((word, count, "active") for word, count in wanted.items())
        wait_for("all 21 joined", lambda: sorted(self.observer.joined(before_join)) == expected)
        return wanted


class ProcessPipeline(Pipeline):
    """The stack as processes of this machine."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.ports = Ports(settings.port_offset)
        self.layout = Layout(settings.home)
        self.stack: ProcessStack = ProcessStack(settings)
        self.observer: Observer = Observer(self.ports.bootstrap)
        self.scratch = str(settings.home / "scratch")

    @override
    def command(self, *command: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> Finished:
        program = str(Path(sys.executable).parent / command[0])
        return run(program, *command[1:], stdin=stdin, env=self.environment(), seconds=seconds)

    def environment(self) -> dict[str, str]:
        """The variables that point a command at this stack."""
        return {
            **os.environ,
            **self.settings.as_environment(),
            "NEWSROOM_BOOTSTRAP_SERVERS": self.ports.bootstrap,
            "NEWSROOM_REGISTRY_URL": self.ports.registry_url,
        }

    @override
    def send(self, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
        config = {"bootstrap.servers": self.ports.bootstrap, "partitioner": "murmur2_random"}
        producer = Producer(config | {"message.max.bytes": MAX_RECORD_BYTES})
        failures: list[str] = []
        for key, value in records:
            producer.produce(
                topic, key=key, value=value, on_delivery=lambda error, _: failures.append(str(error)) if error else None
            )
        assert producer.flush(30) == 0
        assert not failures

    @override
    def create_topic(self, name: str, partitions: int = 1) -> None:
        admin = AdminClient({"bootstrap.servers": self.ports.bootstrap})
        admin.create_topics([NewTopic(name, partitions, 3)])[name].result(COMMAND_SECONDS)
        wait_for(
            f"topic {name}", lambda: name in admin.list_topics(timeout=10).topics and self.observer.end_offsets(name)
        )

    @override
    def api(self, path: str) -> Answer:
        return self._get(f"{self.ports.status_url}{path}")

    @override
    def registry(self, path: str) -> Answer:
        return self._get(f"{self.ports.registry_url}{path}")

    def _get(self, url: str) -> Answer:
        response = httpx.get(url, timeout=10)
        return Answer(response.status_code, response.text)

    @override
    def kafka(self, tool: str, *arguments: str) -> str:
        return self.command("newsroom", "kafka", tool, *arguments).output

    @override
    def read_file(self, path: str) -> str:
        return Path(path).read_text(encoding="utf-8")


@contextmanager
def running(settings: StackSettings) -> Iterator[ProcessPipeline]:
    """A stack of these settings that runs while it is entered, and ends without an error."""
    ensure_artifacts(settings.cache, LineProgress())
    lines: list[str] = []
    owner = ProcessStack(settings).start(show=lines.append)
    try:
        yield ProcessPipeline(settings)
    finally:
        code = owner.stop()
    assert code == 0, lines
