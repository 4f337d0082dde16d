"""news-producer against a real cluster: the limits of a topic hold, and a reader that leaves ends it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from news_producer.limits import batch_of_one
from support.pipeline import Finished, ProcessPipeline

pytestmark = pytest.mark.timeout(120)

LIMIT = 2000
LONG = "x" * 5000


@pytest.fixture(scope="module")
def small(pipeline: ProcessPipeline) -> str:
    """A topic that takes batches of 2,000 bytes."""
    pipeline.create_topic("small")
    pipeline.kafka("configs", "--alter", "--topic", "small", "--add-config", f"max.message.bytes={LIMIT}")
    return "small"


def produce(pipeline: ProcessPipeline, lines: list[str], *options: str) -> tuple[Finished, dict[str, Any]]:
    """Send lines as strings; return how the producer ended, and its account."""
    command = ("news-producer", "--format", "string", "--topic", "small", "--source", "-", "--log-format", "json")
    done = pipeline.command(*command, *options, stdin="\n".join(lines))
    return done, json.loads(done.output.splitlines()[-1])


def test_batches_are_not_larger_than_their_topic_takes(pipeline: ProcessPipeline, small: str) -> None:
    before = sum(pipeline.observer.end_offsets(small).values())
    done, account = produce(pipeline, [f"{number:04}" for number in range(3000)])
    assert (done.code, account["delivered"], account["failed"]) == (0, 3000, 0), done.output
    assert sum(pipeline.observer.end_offsets(small).values()) - before == 3000


def test_a_record_that_is_too_large_costs_itself_alone(pipeline: ProcessPipeline, small: str) -> None:
    before = pipeline.observer.end_offsets(small)
    largest = "y" * next(size for size in range(LIMIT, 0, -1) if batch_of_one(None, b"y" * size) == LIMIT)
    lines = ["one", "two", LONG, "three", largest, f"{largest}y", "four"]
    done, account = produce(pipeline, lines, "--skip-bad-lines")
    assert (done.code, account["read"], account["delivered"], account["failed"]) == (0, 7, 5, 0), done.output
    assert (account["why"], account["lost_lines"]) == ({"too_large": 2}, 2)
    values = [record.value.decode() for record in pipeline.observer.read(small, before) if record.value]
    assert values == ["one", "two", "three", largest, "four"]


def test_a_line_that_is_too_large_ends_the_run_with_its_place(pipeline: ProcessPipeline, small: str) -> None:
    done, account = produce(pipeline, ["one", "two", LONG, "three"])
    assert (done.code, account["delivered"], account["failed"], account["read"]) == (1, 2, 0, 3), done.output
    assert "standard input, line 3: a record of 507" in done.output
    assert f"is larger than topic {small} takes (max.message.bytes={LIMIT})" in done.output


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("news-producer --format string --rounds 100", "health and metrics"),
        ("avro-consumer --format string --topic small --group piped", "health and metrics"),
        (
            "wordcount-stream --consumer-group piped-words --counts-topic small --state-dir {folder}",
            "health and metrics",
        ),
        ("status-api --http-port 0", ""),
    ],
)
def test_a_reader_that_has_enough_ends_the_service(
    pipeline: ProcessPipeline, small: str, tmp_path: Path, command: str, line: str
) -> None:
    program = Path(sys.executable).parent / command.format(folder=tmp_path)
    script = f"{program} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=pipeline.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout
    assert done.stdout.count("\n") == 1
    assert all(offset == 0 for offset in pipeline.observer.committed("piped", small).values())


def test_too_few_in_sync_replicas_are_said_before_the_message_timeout(pipeline: ProcessPipeline) -> None:
    pipeline.create_topic("strict")
    pipeline.kafka("configs", "--alter", "--topic", "strict", "--add-config", "min.insync.replicas=3")
    pipeline.stack.kill("kafka-3")
    try:
        options = ("--format", "string", "--topic", "strict", "--source", "-", "--message-timeout", "20")
        done = pipeline.command("news-producer", *options, stdin="one\n")
    finally:
        pipeline.stack.restart("kafka-3")
    lines = done.output.splitlines()
    assert done.code == 1, done.output
    sentence = "NOT_ENOUGH_REPLICAS: the brokers refuse records for topic strict partition 0 (2 in sync)"
    said = [number for number, line in enumerate(lines) if sentence in line]
    failed = [number for number, line in enumerate(lines) if "1 of 1 records to topic strict" in line]
    assert said[0] < failed[0], "a warning comes first"
    assert sentence in lines[failed[0]], "the error repeats it"
