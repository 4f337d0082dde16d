"""Each broker's role lost under load, by a kill and by a pause: nothing is silent for long, and the audit is clean."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from newsroom.schemas.registry import registry_client
from newsroom.settings import KafkaSettings
from newsroom_audit.arrivals import Arrivals
from newsroom_audit.checks.gaps import Fault, Gaps, find_gaps
from newsroom_audit.cli import news_decoder, news_encoder, sample_until
from newsroom_audit.history import read_samples
from newsroom_audit.judge import Case, judge
from newsroom_audit.ledger import Ledger, read_ledger
from newsroom_audit.load import Item, Load, articles, labels, unique_words
from newsroom_audit.reader import ClusterReader
from support.pipeline import ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(900)

KILL, PAUSE = "kill", "pause"
SOME = 4
"""How many of a seed's faults are tried without --figures."""

PAUSE_SECONDS = 20.0
SETTLE_SECONDS = 6.0
"""How long everything runs undisturbed before the next fault."""

LONGEST_SILENCE = 30.0
"""Far above what is measured (docs/reliability.md), below what a watchdog or a session of old would take."""

WORDS_A_SECOND, OTHERS_A_SECOND = 200.0, 20.0

STAGES = {"word-counts": "mytopic", "words-joined": "word", "avro-consumer": "news"}
"""What must go on, and the input that it comes from."""


def java_hash(text: str) -> int:
    """Java's `String.hashCode` without its sign bit, by which Kafka places groups and transactional ids."""
    number = 0
    for character in text:
        number = (31 * number + ord(character)) & 0xFFFFFFFF
    return number & 0x7FFFFFFF


@contextmanager
def beside(stop: threading.Event, work: Callable[[], object]) -> Iterator[None]:
    """Let a thread work beside what the block does, until `stop` is set at its end."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Roles:
    """Which broker has a role now."""

    def __init__(self, pipeline: ProcessPipeline) -> None:
        self._pipeline = pipeline
        self._admin = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap, "log_level": 0})

    def leader(self) -> int:
        return self._leader("word-counts", 0)

    def transaction_coordinator(self) -> int:
        return self._leader("__transaction_state", java_hash("wordcount-stream-0"))

    def group_coordinator(self) -> int:
        return self._leader("__consumer_offsets", java_hash("avro-consumer"))

    def controller(self) -> int:
        return self._pipeline.quorum_leader()

    def _leader(self, topic: str, number: int) -> int:
        partitions = self._admin.list_topics(topic, timeout=10).topics[topic].partitions
        return int(partitions[number % len(partitions)].leader)


ROLES = ("leader", "transaction_coordinator", "group_coordinator", "controller")


@dataclass
class Trial:
    """A running stack under load, and what is watched of it."""

    pipeline: ProcessPipeline
    settings: KafkaSettings
    folder: Path

    def __post_init__(self) -> None:
        self.loads: list[Load] = []
        self.faults: list[Fault] = []

    @contextmanager
    def load(self, name: str, items: Iterator[Item], rate: float) -> Iterator[None]:
        """Send items beside what the block does."""
        stop = threading.Event()
        with (
            Load(self.settings, self.folder / f"{name}.jsonl", stop=stop) as load,
            beside(stop, lambda: load.send(items, rate)),
        ):
            yield

    @contextmanager
    def samples(self) -> Iterator[None]:
        stop = threading.Event()
        with (
            ClusterReader(self.settings) as reader,
            beside(stop, lambda: sample_until(stop, reader, self.folder / "samples.jsonl")),
        ):
            yield

    def known_words(self) -> dict[str, int]:
        """Words that the join knows, so that each label has a result, with their counts."""
        with Load(self.settings, self.folder / "known.jsonl") as load:
            load.send(unique_words("known", 50))
        self.pipeline.quiet()
        return {word: count for word, count in self.pipeline.observer.counts().items() if word.startswith("wknown")}

    def fault(self, kind: str, role: str) -> None:
        """Take a role's broker away, bring it back, and wait until the stack is whole."""
        name = f"kafka-{getattr(Roles(self.pipeline), role)()}"
        start = time.time()
        if kind == KILL:
            self.pipeline.stack.kill(name)
            self.pipeline.stack.restart(name)
        else:
            self.pipeline.stack.pause(name)
            time.sleep(PAUSE_SECONDS)
            self.pipeline.stack.resume(name)
        wait_for(f"everything is ready after the {kind} of {name}", self.pipeline.all_ready, 90)
        # Before it settles: the silence of the next fault begins with the last result before that fault.
        self.faults.append(Fault(f"{kind} of the {role.replace('_', ' ')} ({name})", start, time.time()))
        time.sleep(SETTLE_SECONDS)

    def ledgers(self) -> list[Ledger]:
        return [read_ledger(path) for path in sorted(self.folder.glob("*.jsonl")) if path.name != "samples.jsonl"]


def plan(seed: int) -> list[tuple[str, str]]:
    """Each role killed and paused, in an order that the seed chooses."""
    faults = [(kind, role) for kind in (KILL, PAUSE) for role in ROLES]
    random.Random(seed).shuffle(faults)  # noqa: S311 - an order, not a secret
    return faults


def silences_of(trial: Trial, ledgers: Sequence[Ledger], arrivals: Arrivals, end: float) -> dict[str, Gaps]:
    """The silences of each stage."""
    silences = {}
    for stage, topic in STAGES.items():
        sent = [entry.sent for ledger in ledgers for entry in ledger.of(topic)]
        silences[stage] = find_gaps(stage, arrivals.times[stage], sent, end=end, faults=trial.faults)
    return silences


def test_the_loss_of_each_role_is_short_and_the_audit_is_clean(
    pipeline: ProcessPipeline, tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> None:
    figures = request.config.getoption("--figures")
    settings = KafkaSettings(bootstrap_servers=pipeline.ports.bootstrap, registry_url=pipeline.ports.registry_url)
    folder = tmp_path / "records"
    folder.mkdir()
    trial = Trial(pipeline, settings, folder)
    known = trial.known_words()
    with ExitStack() as running:
        registry = running.enter_context(registry_client(settings))
        arrivals = running.enter_context(Arrivals(settings, ("word-counts", "words-joined"), ("avro-consumer",)))
        running.enter_context(trial.samples())
        running.enter_context(trial.load("words", unique_words(f"s{seed}"), WORDS_A_SECOND))
        endless = (item for turn in cycle([0]) for item in labels(f"s{seed}", known))
        running.enter_context(trial.load("labels", endless, OTHERS_A_SECOND))
        running.enter_context(trial.load("news", articles(f"s{seed}", news_encoder(registry)), OTHERS_A_SECOND))
        time.sleep(SETTLE_SECONDS)
        for kind, role in plan(seed) if figures else plan(seed)[:SOME]:
            trial.fault(kind, role)
        end = time.time()
    ledgers = trial.ledgers()
    silences = silences_of(trial, ledgers, arrivals, end)
    if figures:
        with Path(figures).open("a", encoding="utf-8") as file:
            for fault in trial.faults:
                seconds = {stage: round(silences[stage].by_fault[fault.name], 1) for stage in STAGES}
                file.write(json.dumps({"seed": seed, "fault": fault.name} | seconds) + "\n")

    case = Case(
        ledgers=ledgers,
        samples=read_samples(folder / "samples.jsonl"),
        sinks=sorted(pipeline.layout.consumed.glob("consumed-*.jsonl")),
        faults=trial.faults,
        patience=120.0,
    )
    with ClusterReader(settings) as reader, registry_client(settings) as registry:
        report = judge(reader, case, news_decoder(registry))
    assert report.exit_code == 0, "\n".join(report.lines())
    assert report.produced == report.verified + report.failed + report.unknown
    assert {stage: longest for stage in STAGES if (longest := silences[stage].max) > LONGEST_SILENCE} == {}
