"""What others do to topics, records and sinks while services run, on a real cluster."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from newsroom_stack.cluster.letters import delete_records
from support.pipeline import ANSI, ProcessPipeline
from support.tools import need
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

NUMBERS: list[tuple[bytes | None, bytes | None]] = [(b"%d" % number, b"v%d" % number) for number in range(10)]


@contextmanager
def string_consumer(pipeline: ProcessPipeline, topic: str, folder: Path) -> Iterator[tuple[Callable[[], str], Path]]:
    """An avro-consumer of a topic of the test's own that runs on; what it has written so far, and its sink."""
    log = folder / "log"
    program = str(Path(sys.executable).parent / "avro-consumer")
    options = ("--format", "string", "--topic", topic, "--group", topic, "--sink", str(folder / "out.jsonl"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *options, "--state-dir", str(folder / "state")],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=pipeline.environment(),
        )
    try:
        yield lambda: ANSI.sub("", log.read_text(encoding="utf-8")), folder / "out-0.jsonl"
    finally:
        process.terminate()
        process.wait(20)


def lines_of(sink: Path) -> int:
    return len(sink.read_bytes().splitlines()) if sink.exists() else 0


def test_a_topic_made_anew_under_a_consumer_is_read_from_its_beginning(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    topic = "again"
    pipeline.create_topic(topic)
    pipeline.send(topic, NUMBERS)
    admin = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap})
    with string_consumer(pipeline, topic, tmp_path) as (output, sink):
        wait_for("the first ten records", lambda: lines_of(sink) == 10)
        wait_for("their commit", lambda: pipeline.observer.committed(topic, topic) == {0: 10})
        admin.delete_topics([topic])[topic].result(30)
        wait_for("the topic is gone", lambda: topic not in admin.list_topics(timeout=10).topics)
        pipeline.create_topic(topic)
        pipeline.send(topic, NUMBERS * 2)
        wait_for("the sentence", lambda: f"topic {topic} was deleted" in output())
    with string_consumer(pipeline, topic, tmp_path) as (_, sink):
        # At least once: the new topic's records may also stand there from before the sentence.
        wait_for("all of the new topic's records", lambda: lines_of(sink) >= 30)
        wait_for("their commit", lambda: pipeline.observer.committed(topic, topic) == {0: 20})


def test_records_that_were_deleted_unread_are_said(pipeline: ProcessPipeline, tmp_path: Path) -> None:
    topic = "emptied"
    pipeline.create_topic(topic)
    pipeline.send(topic, NUMBERS)
    with string_consumer(pipeline, topic, tmp_path) as (_, sink):
        wait_for("the first ten records", lambda: lines_of(sink) == 10)
        wait_for("their commit", lambda: pipeline.observer.committed(topic, topic) == {0: 10})
    pipeline.send(topic, NUMBERS)
    admin = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap})
    (deleted,) = delete_records(admin, [TopicPartition(topic, 0, 17)]).values()
    assert deleted.result(30).low_watermark == 17
    with string_consumer(pipeline, topic, tmp_path) as (output, sink):
        wait_for("the three that are left", lambda: lines_of(sink) == 13)
        assert "records were deleted before they were read" in output()
        assert "offsets='10 to 16'" in output()


def test_a_sink_that_is_deleted_under_the_consumer_gets_the_next_records(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    topic = "rotated"
    pipeline.create_topic(topic)
    with string_consumer(pipeline, topic, tmp_path) as (_, sink):
        pipeline.send(topic, NUMBERS)
        wait_for("the first ten records", lambda: lines_of(sink) == 10)
        sink.unlink()
        pipeline.send(topic, NUMBERS[:3])
        wait_for("the next three", lambda: lines_of(sink) == 3)


def test_headers_that_are_not_utf8_stop_no_service(pipeline: ProcessPipeline) -> None:
    kcat = need("kcat", "kcat")
    for topic in ("news", "mytopic", "word", "word-counts"):
        headers: list[str | bytes] = ["-H", b"a\xff=1", "-H", b"\xfe=2", "-H", "c=3"]
        command: list[str | bytes] = [kcat, "-P", "-b", pipeline.ports.bootstrap, "-t", topic, "-K:", *headers]
        subprocess.run(command, input=b"k:x\n", check=True, timeout=30)
    ends = {topic: pipeline.observer.end_offsets(topic) for topic in ("news", "mytopic", "word", "word-counts")}
    for group, topic in (
        ("avro-consumer", "news"),
        ("wordcount-stream", "news"),
        ("wordcount-stream", "mytopic"),
        ("join-service", "word"),
        ("join-service", "word-counts"),
    ):
        wait_for(f"{group} past {topic}", partial(pipeline.observer.passed, group, topic, ends[topic]))
