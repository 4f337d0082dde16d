"""What an experiment can do: topics and groups of its own, programs, pictures, and claims about what it measured."""

from __future__ import annotations

import secrets
import shlex
import tempfile
import time
from contextlib import ExitStack, contextmanager
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from newsroom.kafka_errors import reason_of
from newsroom_lab import programs
from newsroom_lab.programs import Ended, ProgramFailed, Running
from newsroom_lab.record import Bars, Claim, Lanes, Said, Shown, Step, Table
from newsroom_lab.sending import send, transactional, visible
from newsroom_stack.catalogue import LAB_WRITERS
from newsroom_stack.errors import StackError
from newsroom_stack.pipeline.observe import Observer
from newsroom_stack.settings import status_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from confluent_kafka import Producer

    from newsroom_lab.record import Event, Outcome
    from newsroom_lab.sending import Sending
    from newsroom_stack.interface import Stack
    from newsroom_stack.pipeline.observe import Record

SECONDS = 30.0
"""How long a thing may take that takes a second."""

REPLICAS = 3


class NotSeen(StackError):
    """What an experiment waited for did not happen."""


class Lab:
    """One run of an experiment on a running stack. It cleans up what it made."""

    def __init__(self, stack: Stack, outcome: Outcome, show: Callable[[Event], None]) -> None:
        self.stack = stack
        self.ports = stack.ports
        self.observer = Observer(stack.ports.bootstrap)
        self._newsroom = "newsroom --docker" if stack.settings.docker else "newsroom"
        """How a reader writes a command that acts on this stack."""
        self._outcome = outcome
        self._show = show
        self._name = f"lab-{outcome.name}-{secrets.token_hex(2)}"
        """Unique, so that an experiment can run twice at a time."""
        self._resources = ExitStack()
        self._admin = AdminClient({"bootstrap.servers": stack.ports.bootstrap, "log_level": 0})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    # What the reader sees

    def _note(self, event: Event) -> None:
        self._outcome.events.append(event)
        self._show(event)

    def step(self, text: str) -> None:
        """Say what comes next."""
        self._note(Step(text))

    def say(self, *lines: str) -> None:
        """Show lines that matter."""
        self._note(Said(tuple(lines)))

    def bars(self, title: str, values: Mapping[Any, float], unit: str = "") -> None:
        """Draw a bar for each number."""
        self._note(Bars(title, {str(name): float(value) for name, value in values.items()}, unit))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table."""
        self._note(Table(title, tuple(columns), tuple(tuple(str(cell) for cell in row) for row in rows)))

    def lanes(self, title: str, seconds: float, lanes: Mapping[str, Sequence[tuple[float, float, str]]]) -> None:
        """Draw who owned what when."""
        self._note(Lanes(title, seconds, {name: tuple(spans) for name, spans in lanes.items()}))

    def answer(self, value: float, sentence: str) -> None:
        """The number that the reader predicted, and all of the numbers in one sentence."""
        self._outcome.answer = float(value)
        self._outcome.sentence = sentence

    def holds(self, claim: str, held: object, evidence: object = "") -> None:
        """Claim something; the experiment passes if every claim holds."""
        self._note(Claim(claim, bool(held), str(evidence)))

    # Programs

    def run(
        self, *command: str, stdin: str | None = None, seconds: float = SECONDS, codes: Sequence[int] = (0,), **env: str
    ) -> Ended:
        """Run a program to its end and show it. Names like `NEWSROOM_X` are its further variables.

        Raises:
            ProgramFailed: it ended with another exit code, or not in time.
        """
        self._note(Shown(programs.shell_line(command, stdin, env)))
        ended = programs.run(command, programs.environment(self.stack, env), stdin=stdin, seconds=seconds)
        self.say(*programs.excerpt(ended.lines))
        if ended.code not in codes:
            raise ProgramFailed(f"'{shlex.join(command)}' ended with exit code {ended.code}: {ended.text[-500:]}")
        return ended

    def kafka(self, tool: str, *arguments: str, codes: Sequence[int] = (0,)) -> Ended:
        """Run one of Kafka's own tools."""
        return self.run("newsroom", "kafka", tool, *arguments, seconds=60, codes=codes)

    @contextmanager
    def running(self, *command: str, **env: str) -> Iterator[Running]:
        """Run a program beside the block, and end it with the block."""
        self._note(Shown(f"{programs.shell_line(command, None, env)} &"))
        started = Running(command, programs.environment(self.stack, env))
        try:
            yield started
        finally:
            if started.code is None:
                started.stop()

    def sees(self, what: str, question: Callable[[], Any], seconds: float = SECONDS) -> bool:
        """Wait until the answer is true; whether it became so in time."""
        try:
            self.until(what, question, seconds)
        except NotSeen:
            return False
        return True

    def until(self, what: str, question: Callable[[], Any], seconds: float = SECONDS) -> Any:  # noqa: ANN401
        """Wait until the answer is true, and return it.

        Raises:
            NotSeen: it was not true in time.
        """
        return programs.until(what, question, seconds, NotSeen)

    # Files, topics and groups of its own

    def name(self, suffix: str = "") -> str:
        """A name that this run alone uses."""
        return f"{self._name}{suffix and '-'}{suffix}"

    def folder(self) -> Path:
        """An empty folder, which is deleted at the end."""
        return Path(self._resources.enter_context(tempfile.TemporaryDirectory(prefix="newsroom-lab-")))

    def consumer(self, topic: str, group: str, *options: str) -> tuple[str, ...]:
        """The command of an avro-consumer with a place of its own for its identity, so that it disturbs no other."""
        folder = str(self.folder())
        return ("avro-consumer", "--topic", topic, "--group", group, "--state-dir", folder, *options)

    def topic(
        self,
        suffix: str = "",
        *,
        partitions: int = 1,
        replicas: int = REPLICAS,
        on: Sequence[int] = (),
        **config: object,
    ) -> str:
        """Create a topic, which is deleted at the end. `retention_ms` is the setting `retention.ms`.

        With `on`, numbers of brokers, its one partition is there, and the first of them leads.

        Raises:
            NotSeen: it was not created.
        """
        name = self.name(suffix)
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        line = ["newsroom", "kafka", "topics", "--create", "--topic", name]
        if on:
            line += ["--replica-assignment", ":".join(map(str, on))]
            new = NewTopic(name, 1, replica_assignment=[list(on)], config=settings)
        else:
            line += ["--partitions", str(partitions), "--replication-factor", str(replicas)]
            new = NewTopic(name, partitions, replicas, config=settings)
        line += [word for key, value in settings.items() for word in ("--config", f"{key}={value}")]
        self._note(Shown(shlex.join(line)))
        try:
            self._admin.create_topics([new])[name].result(SECONDS)
        except KafkaException as error:
            raise NotSeen(f"topic {name} was not created: {reason_of(error)}") from error
        self._resources.callback(self._delete_topic, name)
        self.until(f"topic {name} has leaders", lambda: len(self.ends(name)) == partitions)
        return name

    def _delete_topic(self, name: str) -> None:
        self._admin.delete_topics([name])[name].exception(SECONDS)

    def forget(self, part: str) -> None:
        """Delete the topics with this in their names, which a program has made for itself."""
        for name in self._admin.list_topics(timeout=SECONDS).topics:
            if part in name:
                self._delete_topic(name)

    def group(self, suffix: str = "") -> str:
        """The name of a consumer group of its own, which is deleted at the end."""
        name = self.name(suffix)
        self.forget_group(name)
        return name

    def forget_group(self, name: str) -> None:
        """Delete a group at the end."""
        self._resources.callback(lambda: self._admin.delete_consumer_groups([name])[name].exception(SECONDS))

    def stream_group(self, suffix: str = "") -> str:
        """The name of a stream's group, which is deleted at the end with the topics that the stream made for itself."""
        name = self.group(suffix)
        self._resources.callback(self.forget, name)
        return name

    def finally_do(self, action: Callable[[], object]) -> None:
        """Do something at the end, whatever happens."""
        self._resources.callback(action)

    # Questions to the cluster

    def ends(self, topic: str) -> dict[int, int]:
        """Each partition's end."""
        return self.observer.end_offsets(topic)

    def total(self, topic: str) -> int:
        """How many records a topic has that nothing was deleted from."""
        return sum(self.ends(topic).values())

    def read(self, topic: str, since: Mapping[int, int] | None = None) -> list[Record]:
        """Its records, in the order of partition and offset."""
        return self.observer.read(topic, since)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offsets."""
        return self.observer.committed(group, topic)

    def lag(self, group: str, topic: str) -> int:
        """Records that the group has not committed yet."""
        committed = self.committed(group, topic)
        return sum(end - committed.get(number, 0) for number, end in self.ends(topic).items())

    def starts(self, topic: str) -> dict[int, int]:
        """Each partition's first offset that is still there."""
        client = Consumer({"bootstrap.servers": self.ports.bootstrap, "group.id": self._name, "log_level": 0})
        try:
            partitions = self.observer.partitions(topic)
            return {
                number: client.get_watermark_offsets(TopicPartition(topic, number), timeout=SECONDS)[0]
                for number in partitions
            }
        finally:
            client.close()

    def partitions(self, topic: str) -> list[Any]:
        """The topic's partitions: `id`, `leader`, `replicas` and `isrs`, the last three as numbers of brokers."""

        def known() -> list[Any]:
            try:
                metadata = self._admin.list_topics(topic, timeout=SECONDS).topics[topic]
            except KafkaException as error:
                raise NotSeen(f"no broker answers ({reason_of(error)})") from error
            # Some brokers may not know a new topic yet.
            return [] if metadata.error else [metadata.partitions[number] for number in sorted(metadata.partitions)]

        partitions: list[Any] = self.until(f"topic {topic} is described", known)
        return partitions

    def leader(self, topic: str, partition: int = 0) -> str:
        """The name of the broker that leads a partition."""
        return f"kafka-{self.partitions(topic)[partition].leader}"

    def ask(self, url: str, method: str = "GET", json: object = None) -> httpx.Response:
        """Ask an HTTP server of the stack, and show the request as curl would make it.

        Raises:
            NotSeen: it does not answer.
        """
        data = "" if json is None else f" --json {shlex.quote(dumps(json))}"
        login = '-H "Authorization: Bearer $NEWSROOM_STATUS_TOKEN" ' if self._login(url) else ""
        self._note(Shown(f"curl {login}{'' if method == 'GET' else f'-X {method} '}{url}{data}"))
        return self.quietly_ask(url, method, json)

    def quietly_ask(self, url: str, method: str = "GET", json: object = None) -> httpx.Response:
        """Ask an HTTP server of the stack.

        Raises:
            NotSeen: it does not answer.
        """
        try:
            return httpx.request(method, url, json=json, timeout=SECONDS, headers=self._login(url))
        except httpx.HTTPError as error:
            raise NotSeen(f"{url} does not answer ({error})") from error

    def _login(self, url: str) -> dict[str, str]:
        return status_login() if url.startswith(self.ports.status_url) else {}

    def send(
        self,
        topic: str,
        records: Iterable[tuple[str | None, str | bytes | None]],
        *,
        pace: float = 0.0,
        **config: object,
    ) -> Sending:
        """Write records with a producer of the experiment's own. `linger_ms` is the setting `linger.ms`.

        `pace` is the pause after each record, in seconds.
        """
        return send(self.ports.bootstrap, topic, records, pace, {k.replace("_", "."): v for k, v in config.items()})

    def transactional(self, name: str, **config: object) -> Producer:
        """A producer with this transactional id, which begins by ending what others with the id have left open."""
        return transactional(self.ports.bootstrap, name, {k.replace("_", "."): v for k, v in config.items()})

    def visible(self, topic: str, isolation: str = "read_committed") -> list[bytes]:
        """The values that a reader of this isolation level gets now."""
        return visible(self.ports.bootstrap, topic, self.observer.partitions(topic), isolation)

    # The stack

    def kill(self, name: str) -> None:
        """Kill a part of the stack; it stays down until `restart`."""
        self._note(Shown(f"{self._newsroom} kill {name}"))
        self.stack.kill(name)

    def restart(self, name: str) -> None:
        """Start a part of the stack again, and wait until it is ready."""
        self._note(Shown(f"{self._newsroom} restart {name}"))
        try:
            self.stack.restart(name)
        except StackError:
            # A killed broker recovers its log first: on a busy machine for longer than the stack waits.
            self.until(f"{name} is ready", lambda: self._ready(name), 180)

    def _ready(self, name: str) -> bool:
        return all(instance.ready for instance in self.stack.ps() if name in {instance.name, instance.service})

    @contextmanager
    def away(self, name: str) -> Iterator[None]:
        """Kill a part of the stack for the block, and wait until it is back at the end."""
        self.kill(name)
        try:
            yield
        finally:
            self.restart(name)
            self.until("every part is ready again", self._whole, 90)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Freeze a part of the stack for the block."""
        self._note(Shown(f"{self._newsroom} pause {name}"))
        self.stack.pause(name)
        try:
            yield
        finally:
            self._note(Shown(f"{self._newsroom} resume {name}"))
            self.stack.resume(name)
            self.until("every part is ready again", self._whole, 90)

    def _whole(self) -> bool:
        # A container that somebody has added may have no health check.
        return all(instance.ready for instance in self.stack.ps() if instance.role not in {"job", "tool"})

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Pause those who write the lab's strings by themselves, so that the experiment can count."""
        with ExitStack() as resumes:
            for instance in self.stack.ps():
                if instance.service in LAB_WRITERS:
                    self.stack.pause(instance.name)
                    resumes.callback(self.stack.resume, instance.name)
            yield

    def passed(self, group: str, topic: str, seconds: float = 60) -> None:
        """Wait until a group has committed everything that is in a topic now."""
        ends = self.ends(topic)
        self.until(f"{group} has read {topic}", lambda: self.observer.passed(group, topic, ends), seconds)

    @staticmethod
    def seconds(action: Callable[[], object]) -> float:
        """How long something takes."""
        start = time.monotonic()
        action()
        return time.monotonic() - start
