"""The stack as containers, seen from inside its network: by the tester's container, and by docker."""

import json
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

from typing_extensions import override

from newsroom_stack.containers.container import KILLED
from newsroom_stack.containers.stack import ContainerStack
from newsroom_stack.interface import State
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.pipeline.observe import Record
from newsroom_stack.settings import StackSettings
from support.pipeline import COMMAND_SECONDS, Answer, Finished, Observing, Pipeline, run
from support.waiting import wait_for

ANSWER_SECONDS = 120.0
"""The longest call of the agent: a load's last acknowledgements, with a broker away."""

STATUS = "http://status-api:8000"
REGISTRY = "http://registry:8080/apis/ccompat/v7"


class Agent(Observing):
    """Calls `agent.py` in the tester's container, until it is closed."""

    def __init__(self, stack: ContainerStack) -> None:
        compose = stack.compose
        self._process = subprocess.Popen(
            ["docker", "compose", "exec", "-T", "tester", "python", "/tester/agent.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=compose.environment(),
        )
        self._answers: Queue[str | None] = Queue()
        """Its lines; None when it has ended."""
        self._number = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End it; a second call does nothing."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # its container has gone
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)

    def _read(self) -> None:
        with self._process.stdout or [] as lines:  # type: ignore[union-attr]
            for line in lines:
                self._answers.put(line)
        self._answers.put(None)

    def alive(self) -> bool:
        """Whether it can be called."""
        return self._process.poll() is None

    def call(self, method: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - JSON values
        """Call a method of the agent; its error is ours."""
        assert self._process.stdin
        self._number += 1
        request = {"number": self._number, "call": method, "arguments": arguments}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(self._end_of(method)) from None
        answer: dict[str, Any] = {}
        while answer.get("number") != self._number:  # an earlier one came too late
            try:
                line = self._answers.get(timeout=ANSWER_SECONDS)
            except Empty:
                raise AssertionError(f"the tester did not answer {method} within {ANSWER_SECONDS:g} s") from None
            if line is None:
                raise AssertionError(self._end_of(method))
            answer = json.loads(line)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _end_of(self, method: str) -> str:
        code = self._process.wait(10)
        memory = ": most likely out of memory, whose limit is in compose.e2e.yml" if code == KILLED else ""
        return f"the tester ended with exit code {code} before it answered {method}{memory}"

    @override
    def end_offsets(self, topic: str) -> dict[int, int]:
        return _numbers(self.call("end_offsets", topic=topic))

    @override
    def committed(self, group: str, topic: str) -> dict[int, int]:
        return _numbers(self.call("committed", group=group, topic=topic))

    @override
    def passed(self, group: str, topic: str, ends: dict[int, int]) -> bool:
        return bool(self.call("passed", group=group, topic=topic, ends=ends))

    @override
    def read(self, topic: str, since: Mapping[int, int] | None = None) -> list[Record]:
        return [
            Record(
                record["partition"],
                record["offset"],
                _bytes(record["key"]),
                _bytes(record["value"]),
                {name: value.encode("latin-1") for name, value in record["headers"].items()},
            )
            for record in self.call("read", topic=topic, since=since)
        ]

    @override
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.call("counts")
        return counts

    @override
    def joined(self, since: Mapping[int, int] | None = None) -> list[tuple[str, int, str]]:
        return [(word, count, label) for word, count, label in self.call("joined", since=since)]


def _numbers(answer: dict[str, int]) -> dict[int, int]:
    return {int(partition): offset for partition, offset in answer.items()}


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")


@dataclass
class Account:
    """What became of a load: every record that was acknowledged, by its id, which begins with the prefix."""

    prefix: str
    sent: int = 0
    acknowledged: list[str] = field(default_factory=list)
    since: dict[int, int] = field(default_factory=dict)
    """The topic's end offsets when the load began."""


class ContainerPipeline(Pipeline):
    """The stack as containers."""

    scratch = "/tmp"

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.stack: ContainerStack = ContainerStack(settings)
        self.agent: Agent
        """Set once the tester's container is up."""

    def connect(self) -> Agent:
        """Start the agent; the caller ends it."""
        self.agent = self.observer = Agent(self.stack)
        return self.agent

    @override
    def command(self, *command: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> Finished:
        """Run a service's command once, in a container of that service which runs already."""
        service = command[0] if command[0] != "provision" else "news-producer"
        return self.execute(service, *command, stdin=stdin, seconds=seconds)

    def execute(
        self, service: str, *command: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS
    ) -> Finished:
        """Run any command in a service's container."""
        execute = ("docker", "compose", "exec", "-T", service)
        return run(*execute, *command, stdin=stdin, env=self.stack.compose.environment(), seconds=seconds)

    def newsroom(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> Finished:
        """Run `newsroom --docker` on this machine."""
        command = [sys.executable, "-m", "newsroom_stack.cli.app", "--docker", *arguments]
        return run(*command, env=self.stack.compose.environment() | self.settings.as_environment(), seconds=seconds)

    @override
    def send(self, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
        plain = [[None if part is None else part.decode("latin-1") for part in record] for record in records]
        self.agent.call("send", topic=topic, records=plain)

    @override
    def create_topic(self, name: str, partitions: int = 1) -> None:
        self.agent.call("create_topic", name=name, partitions=partitions)

    @override
    def api(self, path: str) -> Answer:
        return self.ask(f"{STATUS}{path}")

    @override
    def registry(self, path: str) -> Answer:
        return self.ask(f"{REGISTRY}{path}")

    @override
    def kafka(self, tool: str, *arguments: str) -> str:
        program = f"/opt/kafka/bin/kafka-{tool}.sh"
        return self.execute("kafka-1", program, "--bootstrap-server", "kafka-1:19092", *arguments).output

    @override
    def read_file(self, path: str) -> str:
        return self.execute("avro-consumer", "cat", path).output

    def ask(self, url: str) -> Answer:
        """Ask any address in the network."""
        return Answer(**self.agent.call("get", url=url))

    @contextmanager
    def load(self, topic: str, rate: float) -> Iterator[Account]:
        """Write records with an id of their own at a steady rate (records a second); the account is filled at the end.

        Every record must be acknowledged in the end, whatever happened meanwhile.
        """
        prefix = f"load{uuid.uuid4().hex[:6]}x"
        account = Account(prefix, since=self.observer.end_offsets(topic))
        self.agent.call("load_start", name=prefix, topic=topic, rate=rate, prefix=prefix)
        try:
            yield account
        finally:
            result = self.agent.call("load_finish", name=prefix)
            account.sent, account.acknowledged = result["sent"], result["acknowledged"]
        assert result["failures"] == []
        assert len(account.acknowledged) == account.sent > 0

    def duplicates_of_consumed(self, account: Account) -> int:
        """Wait until every acknowledged record of a load to `news` was consumed; how many were more than once."""

        def all_there() -> dict[str, int] | None:
            consumed: dict[str, int] = self.agent.call("consumed", prefix=account.prefix)
            return consumed if set(account.acknowledged) <= set(consumed) else None

        consumed = wait_for(f"all {len(account.acknowledged)} records consumed", all_there, 120)
        assert set(consumed) == set(account.acknowledged), "only what was acknowledged is there"
        return sum(consumed.values()) - len(consumed)

    def counted_exactly(self, account: Account) -> None:
        """Wait until every acknowledged record of a load to `mytopic` was counted, each as often as it is there.

        The load's producer is idempotent, so that is once; but that is its promise, not the word count's.
        """
        prefix = account.prefix

        def counts() -> dict[str, int]:
            counts: dict[str, int] = self.agent.call("counts_of", prefix=prefix)
            return counts

        def all_there() -> bool:
            return set(account.acknowledged) <= set(counts())

        wait_for(f"all {len(account.acknowledged)} words counted", all_there, 120)
        self.quiet(120)
        records = self.observer.read("mytopic", account.since)
        values = ((record.value or b"").decode("latin-1") for record in records)
        there = Counter(value for value in values if value.startswith(prefix))
        wrong = sorted(counts().items() ^ there.items())
        assert not wrong, f"{len(wrong)} words are not counted as often as they are there: {wrong[:5]}\n" + self._trace(
            wrong[0][0]
        )
        assert set(there) == set(account.acknowledged)
        if duplicates := there.total() - len(there):
            print(f"{duplicates} duplicates by the load's own producer")  # noqa: T201

    def _trace(self, word: str) -> str:
        """Where a word is in each topic of the word count: is it a duplicate of the input, of a delta, of a count?"""
        lines = []
        for topic in ("mytopic", "word-deltas", "word-counts"):
            for record in self.observer.read(topic):
                key, value = record.key or b"", record.value or b""
                if word.encode() in (key, value) or f'"{word}":'.encode() in value:
                    lines.append(f"{topic}[{record.partition}] offset {record.offset}: {value[:80]!r}")
        return "\n".join(lines)

    def mend(self) -> None:
        """Undo what a failed test left behind: everything runs, and each service has one replica."""
        if not self.agent.alive():
            self.agent.close()
            self.connect()
        for instance in self.stack.ps():
            if instance.role == "job":
                continue
            if instance.state is State.PAUSED:
                self.stack.resume(instance.name)
            elif instance.state in {State.KILLED, State.EXITED, State.FAILED}:
                self.stack.restart(instance.name)
        replicas = Counter(instance.service for instance in self.stack.ps() if instance.role == "service")
        for service, count in replicas.items():
            if count > 1:
                self.stack.scale(service, 1)
