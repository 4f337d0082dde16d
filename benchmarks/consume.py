"""Reads a million records with avro-consumer and with Kafka's ConsumerPerformance, in turn: make bench NAME=consume.

Needs a running cluster and registry: the variables of `newsroom env`. Writes to topics of its own and deletes them. The
time of a run is that of its process, start included, and its CPU time is that of the process and its threads. Each run
must have read every record: ConsumerPerformance says how many, and avro-consumer must have committed every offset.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from newsroom.schemas.avro import AvroEncoder
from newsroom.schemas.files import read_schema
from newsroom.schemas.registry import register, registry_client
from newsroom.settings import KafkaSettings
from newsroom_stack.jvm.artifacts import ensure_artifacts
from newsroom_stack.jvm.launch import kafka_class
from newsroom_stack.jvm.progress import LineProgress
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.settings import load_stack_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RECORDS, RECORD_BYTES = 1_000_000, 180
PAIRS = 5
PARTITIONS, REPLICAS = 6, 3
SECONDS = 300.0


@dataclass(frozen=True)
class Run:
    """What one run cost, in seconds."""

    wall: float
    cpu: float


def timed(argv: Sequence[str], env: dict[str, str]) -> tuple[Run, str]:
    """Run a command to its end; return its cost and its output."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - start
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        sys.exit(f"{argv[0]} ended with {process.returncode}: {text}")
    return Run(wall, usage.ru_utime + usage.ru_stime), text


def fill(settings: KafkaSettings, topic: str, value: Callable[[int], bytes]) -> None:
    """Write the records."""
    producer = Producer(settings.producer_config("benchmark", linger_ms=50, batch_size=200_000))
    producer.list_topics(topic, timeout=SECONDS)
    for number in range(RECORDS):
        while True:
            try:
                producer.produce(topic, value(number), b"%d" % number)
                break
            except BufferError:
                producer.poll(0.05)
    if producer.flush(SECONDS):
        sys.exit(f"{topic} could not be filled")


class Contest:
    """Both consumers on one topic, each time in a group of its own."""

    def __init__(self, settings: KafkaSettings, topic: str, form: str) -> None:
        self._settings = settings
        self._topic = topic
        self._form = form
        self._admin = AdminClient(settings.client_config("benchmark"))
        self._artifacts = ensure_artifacts(load_stack_settings().cache, LineProgress())

    def ours(self) -> Run:
        """A run of avro-consumer; it has committed every offset."""
        group = f"ours-{uuid.uuid4().hex[:8]}"
        with tempfile.TemporaryDirectory() as folder:
            options = ("--topic", self._topic, "--format", self._form, "--group", group, "--state-dir", folder)
            quiet = ("--count", str(RECORDS), "--log-level", "warning")
            program = str(Path(sys.executable).parent / "avro-consumer")
            run, _ = timed([program, *options, *quiet], dict(os.environ))
        answer = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(SECONDS)
        committed = sum(place.offset for place in answer.topic_partitions)
        if committed != RECORDS:
            sys.exit(f"avro-consumer has committed {committed:,} of {RECORDS:,} records")
        return run

    def theirs(self) -> Run:
        """A run of ConsumerPerformance; it says that it has read every record."""
        options = ["--bootstrap-server", self._settings.bootstrap_servers, "--topic", self._topic]
        options += ["--num-records", str(RECORDS), "--group", f"theirs-{uuid.uuid4().hex[:8]}", "--timeout", "60000"]
        tool = kafka_class(self._artifacts, "org.apache.kafka.tools.ConsumerPerformance", options)
        run, text = timed(tool.argv, dict(tool.env))
        header, line = (row.split(", ") for row in text.strip().splitlines()[-2:])
        count = int(line[header.index("data.consumed.in.nMsg")])
        if count != RECORDS:
            sys.exit(f"ConsumerPerformance has read {count:,} of {RECORDS:,} records")
        return run

    def hold(self) -> None:
        """Print each pair, and the median ratios with the lowest and the highest."""
        walls, cpus = [], []
        for pair in range(PAIRS):
            if pair % 2:
                theirs = self.theirs()
                ours = self.ours()
            else:
                ours = self.ours()
                theirs = self.theirs()
            walls.append(theirs.wall / ours.wall)
            cpus.append(ours.cpu / theirs.cpu)
            sys.stdout.write(
                f"{self._form}: ours {RECORDS / ours.wall:,.0f}/s, {ours.cpu / RECORDS * 1e6:.2f} us CPU a record; "
                f"theirs {RECORDS / theirs.wall:,.0f}/s, {theirs.cpu / RECORDS * 1e6:.2f} us\n"
            )
            sys.stdout.flush()
        sys.stdout.write(
            f"{self._form}: {statistics.median(walls):.2f} of ConsumerPerformance's rate "
            f"({min(walls):.2f} to {max(walls):.2f}), {statistics.median(cpus):.2f} of its CPU time a record "
            f"({min(cpus):.2f} to {max(cpus):.2f})\n"
        )
        sys.stdout.flush()


@contextmanager
def topic_of(settings: KafkaSettings, form: str) -> Iterator[str]:
    """A topic with the records; it is deleted in the end."""
    admin, topic = AdminClient(settings.client_config("benchmark")), f"benchmark-{form}-{uuid.uuid4().hex[:8]}"
    admin.create_topics([NewTopic(topic, PARTITIONS, REPLICAS)])[topic].result(SECONDS)
    try:
        if form == "avro":
            schema = read_schema(REPOSITORY / "schemas" / "news.avsc")
            encoder = AvroEncoder(schema, register(registry_client(settings), f"{topic}-value", schema))
            # Two lengths of one byte each or two, the prefix of five: 180 bytes in all.
            title = "x" * (RECORD_BYTES - 5 - 2 - 1 - 8)
            fill(settings, topic, lambda number: encoder.encode({"title": title, "media": f"{number:08}"}))
        else:
            fill(settings, topic, lambda number: b"%0*d" % (RECORD_BYTES, number))
        yield topic
    finally:
        admin.delete_topics([topic])[topic].result(SECONDS)


def main() -> None:
    """Hold the contest with strings, then with Avro."""
    settings = KafkaSettings()
    for form in sys.argv[1:] or ("string", "avro"):
        with topic_of(settings, form) as topic:
            Contest(settings, topic, form).hold()


if __name__ == "__main__":
    main()
