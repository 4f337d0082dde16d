"""Where a fault is set: what it makes in the running stack, each thing noted before, so that it can be undone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from newsroom.kafka_errors import reason_of
from newsroom_lab import programs
from newsroom_lab.repair.memory import home_of
from newsroom_lab.repair.undo import LOCAL, SECONDS, undo
from newsroom_lab.sending import send, visible
from newsroom_stack.errors import StackError
from newsroom_stack.pipeline.observe import Observer
from newsroom_stack.processes.runfile import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from newsroom_lab.repair.memory import Memory
    from newsroom_lab.sending import Pair, Sending
    from newsroom_stack.interface import Stack
    from newsroom_stack.pipeline.observe import Record

REPLICAS = 3
LOOK_SECONDS = 0.2
CONFLICT = 409
"""The Connect worker is rebalancing: ask again."""

GO = 'read go && exec "$@"'
"""A shell that becomes the program when it is told to, and ends when who started it is gone before."""

CONNECTOR = {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1"}
STRING = "org.apache.kafka.connect.storage.StringConverter"


class Site:
    """A running stack into which a fault is set."""

    def __init__(self, stack: Stack, memory: Memory) -> None:
        self.stack = stack
        self.ports = stack.ports
        self.home = home_of(stack.settings)
        self.folder = self.home / "repair"
        """Where the settings of its programs are, and their logs."""
        self.observer = Observer(stack.ports.bootstrap)
        self._memory = memory
        self._admin = AdminClient({"bootstrap.servers": stack.ports.bootstrap, "log_level": 0})

    # What a fault makes

    def note(self, kind: str, name: str, value: str = "") -> None:
        """Remember what is about to be made; `undo` knows each kind."""
        self._memory = self._memory.note(self.home, f"{kind} {name}", value)

    def set_whole(self) -> None:
        """Remember that the fault is set."""
        self._memory = self._memory.marked(self.home, whole=True)

    def topic(self, name: str, partitions: int = 1, **config: object) -> str:
        """Create a topic. `retention_ms` is the setting `retention.ms`.

        Raises:
            StackError: it was not created, or is there already.
        """
        if name in self._admin.list_topics(timeout=SECONDS).topics:
            raise StackError(f"topic {name} is there already, and is not of a fault: delete or rename it")
        self.note("topic", name)
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        self._admin.create_topics([NewTopic(name, partitions, REPLICAS, config=settings)])[name].result(SECONDS)
        self.until(f"topic {name} has leaders", lambda: len(self.observer.end_offsets(name)) == partitions)
        return name

    def program(self, name: str, lines: Iterable[str]) -> None:
        """Run `newsroom_lab.repair.client` in the background with these settings, in `NAME.properties`."""
        self.note("folder", str(self.folder))
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{name}.properties"
        settings = (f"bootstrap.servers={self.ports.bootstrap}", "log_level=0", *lines)
        file.write_text("\n".join(settings) + "\n", encoding="utf-8")
        command = ("sh", "-c", GO, "sh", sys.executable, "-m", "newsroom_lab.repair.client", str(file))
        with (self.folder / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=programs.environment(self.stack, {}),
                start_new_session=True,
            )
        # It waits for the word, and ends without it: so no program is left that nobody has noted.
        self.note("program", str(started.pid), mark_of(started.pid))
        if started.stdin is not None:  # it is a pipe
            with started.stdin as go:
                go.write(b"go\n")

    def connector(self, name: str, topic: str, **config: str) -> None:
        """Create a connector that writes the values of a topic to a file, and wait for its task."""
        self.note("group", f"connect-{name}")
        self.note("connector", name, self.connector_file(name))
        settings = CONNECTOR | {"topics": topic, "file": self.connector_file(name), "value.converter": STRING}
        settings |= {key.replace("_", "."): value for key, value in config.items()}
        url = f"{self.connectors}/{name}"
        self.until(
            f"connector {name} is created", lambda: self.ask(f"{url}/config", "PUT", settings).status_code != CONFLICT
        )
        self.until(f"connector {name} has a task", lambda: self.ask(f"{url}/status").json().get("tasks"))

    def kill(self, name: str) -> None:
        """Kill a part of the stack."""
        self.note("part", name)
        self.stack.kill(name)

    def commit(self, group: str, topic: str, offset: int) -> None:
        """Commit an offset of partition 0 as this group."""
        self.note("group", group)
        with closing(self._member(group)) as consumer:
            consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)

    def schema(self, subject: str, schema: str, compatibility: str) -> None:
        """Register a schema, and set the rule of its subject."""
        self.note("subject", subject)
        self.register(subject, schema)
        url = f"{self.ports.registry_url}/config/{subject}"
        self.ask(url, "PUT", {"compatibility": compatibility}).raise_for_status()

    # What is sent and seen

    @property
    def connectors(self) -> str:
        """The address of the Connect worker's connectors."""
        return f"http://localhost:{self.ports.connect}/connectors"

    def connector_file(self, name: str) -> str:
        """The file of a connector, where the worker runs."""
        return f"{self.stack.execute('connect', 'pwd').strip()}/{name}.txt"

    def file_has(self, file: str, line: str) -> bool:
        """Whether a connector has written this line."""
        return bool(self.stack.execute("connect", "grep", "-x", "-m1", line, file))

    def register(self, subject: str, schema: str) -> httpx.Response:
        """Offer a schema to the registry."""
        return self.ask(f"{self.ports.registry_url}/subjects/{subject}/versions", "POST", {"schema": schema})

    def send(self, topic: str, records: Iterable[Pair], **config: object) -> Sending:
        """Write records and wait for each acknowledgement. `linger_ms` is the setting `linger.ms`."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        return send(self.ports.bootstrap, topic, records, 0, settings)

    def visible(self, topic: str) -> list[bytes]:
        """The values that a read_committed reader gets now."""
        return visible(self.ports.bootstrap, topic, self.observer.partitions(topic), "read_committed")

    def read_as(self, group: str, topic: str) -> list[bytes]:
        """The values that a run of this group's consumer gets, which reads partition 0 to its end and commits.

        Raises:
            StackError: the end was not reached in time.
        """
        end = self.observer.end_offsets(topic)[0]
        values: list[bytes] = []
        with closing(self._member(group)) as consumer:
            consumer.assign([TopicPartition(topic, 0)])

            def at_end() -> bool:
                values.extend(
                    message.value() or b"" for message in consumer.consume(100, LOOK_SECONDS) if not message.error()
                )
                place = consumer.position([TopicPartition(topic, 0)])[0].offset
                return place >= end or (place < 0 and self.observer.committed(group, topic).get(0, 0) >= end)

            self.until(f"group {group} is at the end of {topic}", at_end)
            if values:
                consumer.commit(offsets=[TopicPartition(topic, 0, end)], asynchronous=False)
        return values

    def _member(self, group: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.ports.bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )

    def coming(self, topic: str, wanted: int, seconds: float = SECONDS) -> list[Record]:
        """Records that come from now on, at least so many.

        Raises:
            StackError: they did not come in time.
        """
        since = self.observer.end_offsets(topic)

        def enough() -> list[Record]:
            records = self.observer.read(topic, since)
            return records if len(records) >= wanted else []

        records: list[Record] = self.until(f"{wanted} new records in {topic}", enough, seconds)
        return records

    def in_sync(self, topic: str) -> int:
        """How many replicas of partition 0 are in sync."""
        return len(self._admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions[0].isrs)

    def produce(self, topic: str, schema: str, line: str) -> str:
        """Let news-producer write one line of JSON with this schema, and return the last line that it says."""
        self.note("folder", str(self.folder))
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "new.avsc"
        file.write_text(schema, encoding="utf-8")
        source = ("--source", "-", "--input-format", "jsonl", "--schema-path", str(file))
        ended = programs.run(
            ("news-producer", "--topic", topic, *source),
            programs.environment(self.stack, {}),
            stdin=f"{line}\n",
            seconds=SECONDS,
        )
        return programs.LOG_HEAD.sub("", ended.lines[-1]) if ended.lines else f"exit code {ended.code}"

    def members(self, group: str) -> int:
        """How many members of a group own partitions."""
        described = self._admin.describe_consumer_groups([group])[group].result(SECONDS)
        return sum(bool(member.assignment.topic_partitions) for member in described.members)

    def ask(self, url: str, method: str = "GET", json: object = None) -> httpx.Response:
        """Ask an HTTP server of the stack.

        Raises:
            StackError: it does not answer.
        """
        try:
            return httpx.request(method, url, json=json, timeout=SECONDS)
        except httpx.HTTPError as error:
            raise StackError(f"{url} does not answer ({error})") from error

    def until(self, what: str, question: Callable[[], Any], seconds: float = SECONDS) -> Any:  # noqa: ANN401
        """Wait until the answer is true, and return it.

        Raises:
            StackError: it was not true in time.
        """
        return programs.until(what, lambda: spoken(question), seconds, StackError)

    def sees(self, what: str, question: Callable[[], Any], seconds: float = SECONDS) -> bool:
        """Wait until the answer is true; whether it became so in time."""
        try:
            self.until(what, question, seconds)
        except StackError:
            return False
        return True

    # Healing

    def heal(self, *, local: bool = False) -> list[str]:
        """Undo everything that is noted, the last first, and return what was undone; with `local` only what needs no
        cluster.

        Raises:
            StackError: something could not be undone. The rest was; heal again when the reason is gone.
        """
        done, problems = [], []
        for note, value in reversed(self._memory.notes.items()):
            if local and note.partition(" ")[0] not in LOCAL:
                continue
            try:
                done.append(spoken(partial(undo, self, note, value)))
            except StackError as error:
                problems.append(f"{note}: {error}")
        if problems:
            raise StackError(f"{'; '.join(problems)}: run 'newsroom lab heal' again when the stack is well")
        return [line for line in done if line]

    @property
    def admin(self) -> AdminClient:
        """The cluster's administration."""
        return self._admin


def spoken(action: Callable[[], Any]) -> Any:  # noqa: ANN401 - the action's own answer
    """Do something, and turn an error of a client, or of an answer that lacks something, into a sentence.

    Raises:
        StackError: it failed.
    """
    try:
        return action()
    except KafkaException as error:
        raise StackError(f"the cluster does not do it: {reason_of(error)}") from error
    except (TimeoutError, OSError, httpx.HTTPError) as error:
        raise StackError(str(error) or "no answer in time") from error
    except (LookupError, ValueError, TypeError) as error:
        raise StackError(f"an answer is not as expected ({type(error).__name__}: {error})") from error
