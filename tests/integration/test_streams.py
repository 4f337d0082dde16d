"""The stream services with topics of their own, with poison, and with topics that others change, on a real cluster."""

import json
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from newsroom.errors import LastingFailure
from newsroom.schemas.avro import AvroEncoder
from newsroom.topics import MAX_RECORD_BYTES
from newsroom_stack.pipeline.observe import Record
from support.pipeline import ANSI, ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

OBJECT = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
POST = {"type": "record", "name": "Post", "fields": [{"name": "body", "type": "string"}]}


class Own:
    """A word count of the test's own: a group, its topics, and what its counts are."""

    def __init__(self, pipeline: ProcessPipeline, name: str, folder: Path) -> None:
        self.pipeline = pipeline
        self.name = name
        self._folder = folder
        self.texts, self.posts, self.counts = f"{name}-texts", f"{name}-posts", f"{name}-counts"
        for topic in (self.texts, self.posts, self.counts):
            pipeline.create_topic(topic, 2)

    @contextmanager
    def running(self, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
        """The service until the block ends, and what it has written in this run."""
        log = self._folder / "log"
        topics = ("--strings-topic", self.texts, "--news-topic", self.posts, "--counts-topic", self.counts)
        command = ("--consumer-group", self.name, "--text-field", "body", "--state-dir", str(self._folder / "state"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "wordcount-stream"), *command, *topics, *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.pipeline.environment(),
            )
        try:
            yield process, lambda: ANSI.sub("", log.read_text(encoding="utf-8"))
        finally:
            process.terminate()
            process.wait(20)

    def send(self, *words: str) -> None:
        """Write one text for each word."""
        self.pipeline.send(self.texts, [(word.encode(), word.encode()) for word in words])

    def counted(self) -> dict[str, int]:
        """The newest count of each word."""
        records = self.pipeline.observer.read(self.counts)
        return {(record.key or b"").decode(): int(record.value or b"0") for record in records}

    def wait_for_counts(self, seconds: float = 90.0, **wanted: int) -> None:
        """Wait until the counts are these."""
        wait_for(f"the counts {wanted}", lambda: self.counted() == wanted, seconds)


def test_a_second_group_is_refused_and_counts_beside_the_pipeline_with_topics_of_its_own(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    pipeline.quiet()  # the first group has committed, and so said what it writes
    folder = str(tmp_path / "refused")
    refused = pipeline.command("wordcount-stream", "--consumer-group", "second", "--state-dir", folder)
    assert refused.code == LastingFailure.exit_code, refused.output
    assert "consumer group wordcount-stream writes word-counts, so group second must not" in refused.last_line
    topics = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap}).list_topics(timeout=10).topics
    assert not [name for name in topics if "second" in name]

    own = Own(pipeline, "second", tmp_path)
    (schema := tmp_path / "post.avsc").write_text(json.dumps(POST))
    sent = pipeline.command(
        *("news-producer", "--topic", own.posts, "--schema", str(schema), "--source", "-", "--input-format", "jsonl"),
        stdin='{"body": "secondword from a post"}\n',
    )
    assert sent.code == 0, sent.output
    own.send("secondword")
    with own.running("--subject", f"{own.posts}-value") as (process, _):
        own.wait_for_counts(secondword=2, **{"from": 1, "a": 1, "post": 1})
        joined = pipeline.command("join-service", "--joined-topic", own.counts, "--consumer-group", "second-join")
        assert "consumer group second writes second-counts, so group second-join must not" in joined.last_line
        process.terminate()
        assert process.wait(20) == 0
    assert "secondword" not in pipeline.observer.counts()


def registered(pipeline: ProcessPipeline, subject: str, kind: str, schema: str) -> int:
    """The id of a schema of this type, registered now."""
    url = f"{pipeline.ports.registry_url}/subjects/{subject}/versions"
    answer = httpx.post(url, json={"schemaType": kind, "schema": schema}, timeout=20)
    return int(answer.raise_for_status().json()["id"])


def poison_of_news(pipeline: ProcessPipeline) -> dict[str, bytes]:
    """One record of every kind that cannot be counted, by its kind."""

    def of(kind: str, schema: object, body: bytes, name: str) -> bytes:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        return struct.pack(">bI", 0, registered(pipeline, f"poison-{name}-value", kind, text)) + body

    def record(kind: object, field: str = "title") -> dict[str, object]:
        return {"type": "record", "name": "News", "fields": [{"name": field, "type": kind}]}

    title = {"type": "record", "name": "Titled", "fields": [{"name": "title", "type": "string"}]}
    number = registered(pipeline, "poison-title-value", "AVRO", json.dumps(title))
    good = AvroEncoder(title, number).encode({"title": "good"})
    return {
        "magic byte": b"\x07" + good[1:],
        "unknown id": struct.pack(">bI", 0, 2**31 - 9) + good[5:],
        "truncated": good[:-2],
        "left over": good + b"\0",
        "invalid UTF-8": good[:5] + b"\x04\xff\xfe",
        "empty": b"",
        "no title": of("AVRO", record("string", "headline"), b"\x02x", "headline"),
        "null title": of("AVRO", record(["null", "string"]), b"\x00", "null"),
        "number": of("AVRO", record("int"), b"\x02", "int"),
        "array": of("AVRO", record({"type": "array", "items": "string"}), b"\x02\x02x\x00", "array"),
        "huge array": good[:5] + b"\xfe" * 9 + b"\x01",
        "not a record": of("AVRO", '"string"', b"\x02x", "string"),
        "JSON Schema": of("JSON", OBJECT, b'{"title": "x"}', "json"),
        "Protobuf": of("PROTOBUF", 'syntax = "proto3"; message M { string title = 1; }', b"\0\x0a\x01x", "proto"),
        "largest": b"\x07" * (MAX_RECORD_BYTES - 200),
    }


def by_kind(letters: list[Record]) -> dict[str, Record]:
    return {(letter.key or b"").decode(): letter for letter in letters}


def test_every_kind_of_poison_is_a_dead_letter_as_received_and_leaves_no_lag(pipeline: ProcessPipeline) -> None:
    poison = poison_of_news(pipeline)
    texts = {"text": b"caf\xe9", "text with headers": b"\xff" * 10}
    before = pipeline.observer.end_offsets("wordcount-stream.dlq")
    producer = Producer({"bootstrap.servers": pipeline.ports.bootstrap, "message.max.bytes": MAX_RECORD_BYTES})
    headers = [("trace", None), ("trace", b"\xff")]
    for topic, values in (("news", poison), ("mytopic", texts)):
        for kind, value in values.items():
            producer.produce(topic, value, kind, headers=headers)
    producer.produce("news", None, "tombstone")
    assert producer.flush(30) == 0

    wanted = poison | texts
    letters = wait_for(
        "a dead letter of each kind",
        lambda: (
            records if len(records := pipeline.observer.read("wordcount-stream.dlq", before)) >= len(wanted) else None
        ),
        90,
    )
    assert len(letters) == len(wanted)
    assert {kind: letter.value for kind, letter in by_kind(letters).items()} == wanted
    origins = Counter((letter.headers["dlq.origin.topic"], letter.headers["dlq.consumer.group"]) for letter in letters)
    assert origins == {(b"news", b"wordcount-stream"): len(poison), (b"mytopic", b"wordcount-stream"): len(texts)}
    assert all(letter.headers["dlq.error"] and letter.headers["trace"] == b"\xff" for letter in letters)
    for topic in ("news", "mytopic"):
        ends = pipeline.observer.end_offsets(topic)
        wait_for(f"no lag on {topic}", partial(pipeline.observer.passed, "wordcount-stream", topic, ends))


def test_poison_of_the_join_is_a_dead_letter_too(pipeline: ProcessPipeline) -> None:
    before = pipeline.observer.end_offsets("join-service.dlq")
    pipeline.send("word", [(b"label", b"\xff")])
    pipeline.send("word-counts", [(b"count", b"many")])

    def letters() -> dict[str, bytes | None] | None:
        letters = by_kind(pipeline.observer.read("join-service.dlq", before))
        return {kind: letter.value for kind, letter in letters.items()} if len(letters) == 2 else None

    assert wait_for("both dead letters", letters) == {"label": b"\xff", "count": b"many"}


def test_a_topic_made_anew_while_the_stream_is_down_is_read_from_its_beginning(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    own = Own(pipeline, "anew", tmp_path)
    admin = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap})
    own.send(*["old"] * 10)
    with own.running():
        own.wait_for_counts(old=10)
    with closing(Consumer({"bootstrap.servers": pipeline.ports.bootstrap, "group.id": own.name})) as group:
        commits = group.committed([TopicPartition(own.texts, number) for number in range(2)], 20)
    commits = [commit for commit in commits if commit.offset > 0]
    admin.delete_topics([own.texts])[own.texts].result(30)
    wait_for("the topic is gone", lambda: own.texts not in admin.list_topics(timeout=10).topics)
    pipeline.create_topic(own.texts, 2)
    own.send(*["old"] * 20)
    # The cluster forgets the offsets of a topic that it deletes, but not those that a late replica commits. They lie
    # within the new topic.
    with closing(Consumer({"bootstrap.servers": pipeline.ports.bootstrap, "group.id": own.name})) as late:
        late.commit(offsets=commits, asynchronous=False)
    with own.running() as (_, output):
        own.wait_for_counts(old=30)
        assert "made anew while this service did not run" in output()
    own.send("old")
    with own.running() as (_, output):
        own.wait_for_counts(old=31)
        assert "made anew" not in output()


@pytest.mark.parametrize("topic", ["counts", "word-deltas"])
def test_a_topic_that_is_enlarged_while_the_stream_runs_ends_it_with_the_remedy(
    pipeline: ProcessPipeline, tmp_path: Path, topic: str
) -> None:
    own = Own(pipeline, f"larger-{topic}", tmp_path)
    enlarged = f"{own.name}-{topic}"
    own.send("one")
    with own.running() as (process, output):
        own.wait_for_counts(one=1)
        admin = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap})
        admin.create_partitions([NewPartitions(enlarged, 4)])[enlarged].result(30)
        assert process.wait(60) == 1
        assert f"topic {enlarged} was given 4 partitions instead of 2 while this service ran" in output()
        assert "Kafka does not take partitions back: stop all replicas, delete the topic" in output()
    assert own.counted() == {"one": 1}


def test_at_least_once_loses_nothing_in_a_crash_and_writes_no_transaction(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    own = Own(pipeline, "atleast", tmp_path)
    words = [f"w{number % 20}" for number in range(4000)]
    with own.running("--delivery", "at-least-once") as (process, _):
        own.send(*words[:2000])
        wait_for("the first counts", own.counted)
        process.send_signal(signal.SIGKILL)
    own.send(*words[2000:])
    wanted = Counter(words)
    with own.running("--delivery", "at-least-once"):
        wait_for("every word", lambda: all(own.counted().get(word, 0) >= count for word, count in wanted.items()), 90)
        ends = pipeline.observer.end_offsets(own.texts)
        wait_for("no lag", partial(pipeline.observer.passed, own.name, own.texts, ends))
    records = pipeline.observer.read(own.counts)
    assert len(records) == sum(pipeline.observer.end_offsets(own.counts).values()), "a transaction's marker"


def test_a_replica_that_is_killed_and_starts_again_does_not_wait_for_its_own_session(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    own = Own(pipeline, "killed", tmp_path)
    with own.running("--session-timeout", "60") as (process, _):
        own.send("one")
        own.wait_for_counts(one=1)
        process.kill()
    own.send("one")
    with own.running("--session-timeout", "60") as (_, output):
        own.wait_for_counts(one=2, seconds=45.0)
        assert "a former member of this replica was removed from the group" in output()
