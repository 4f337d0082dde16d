"""The pipeline on a real cluster: every record through Kafka, HTTP and logs."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pipeline import wait_for

if TYPE_CHECKING:
    from pipeline import Pipeline

pytestmark = pytest.mark.timeout(240)

KEYS = range(21)


def test_everything_is_ready_and_memory_is_below_three_gib(pipeline: Pipeline) -> None:
    instances = pipeline.stack.ps()
    assert {each.service for each in instances} == {
        "kafka", "registry", "connect",
        "status-api", "avro-consumer", "wordcount-stream", "join-service", "news-producer",
    }  # fmt: skip
    assert [each.name for each in instances if not each.ready] == []
    assert sum(each.memory_bytes for each in instances) < 3 * 1024**3


def test_topics_are_as_declared(pipeline: Pipeline) -> None:
    topics = {each["name"]: each for each in pipeline.api("/api/v1/topics").json()["topics"]}
    counts = {name: len(pipeline.observer.partitions(name)) for name in topics if not name.startswith("changelog__")}
    assert counts == {
        "mytopic": 5, "news": 6, "news.dlq": 6, "word-deltas": 6, "word-counts": 6, "word": 6, "words-joined": 6,
    }  # fmt: skip
    described = pipeline.command("newsroom", "kafka", "topics", "--describe", "--topic", "mytopic").output
    assert re.search(r"PartitionCount: 5\s+ReplicationFactor: 3", described)
    assert "min.insync.replicas=2" in described


def test_headlines_are_consumed_with_the_labs_words(pipeline: Pipeline) -> None:
    wait_for("a consumed headline", lambda: "Consumed : " in pipeline.log("avro-consumer-1"))
    records = pipeline.observer.read("news")
    assert records
    assert all(record.value and record.value[0] == 0 for record in records)
    assert pipeline.command("newsroom", "ps").code == 0


def test_six_rounds_count_every_word_and_join_all_of_them(pipeline: Pipeline) -> None:
    pipeline.quiet()
    before = pipeline.observer.counts()
    done = pipeline.rounds(6)
    assert done.code == 0, done.output
    assert 'Sending message with key "key20" and value "filter20"' in done.output
    wanted = {f"value{i}": before.get(f"value{i}", 0) + 6 for i in KEYS}

    def counted() -> bool:
        counts = pipeline.observer.counts()
        return {word: counts.get(word) for word in wanted} == wanted

    wait_for("every valueN counted six more", counted)
    assert not [word for word in pipeline.observer.counts() if "filter" in word]
    wait_for(
        "the log line",
        lambda: f"KTable wordCounts : key value10 - value {wanted['value10']}" in pipeline.log("wordcount-stream-1"),
    )
    pipeline.quiet()
    joined = len(pipeline.observer.joined())
    labels = "".join(json.dumps({"key": f"value{i}", "value": "active"}) + "\n" for i in KEYS)
    options = ("--format", "string", "--topic", "word", "--source", "-", "--input-format", "jsonl")
    sent = pipeline.command("news-producer", *options, stdin=labels)
    assert sent.code == 0, sent.output
    expected = sorted((word, count, "active") for word, count in wanted.items())
    wait_for("all 21 joined", lambda: sorted(pipeline.observer.joined()[joined:]) == expected)
    assert f"value ({wanted['value10']}, active)" in pipeline.log("join-service-1")


def test_the_connectors_file_holds_the_topics_values(pipeline: Pipeline) -> None:
    pipeline.rounds(1)
    values = Counter((record.value or b"").decode() for record in pipeline.observer.read("mytopic"))
    wait_for("the connector's file", lambda: Counter(pipeline.layout.sink_file.read_text().splitlines()) == values)


def test_a_poison_record_goes_to_the_dead_letter_topic_and_the_consumer_goes_on(pipeline: Pipeline) -> None:
    before = len(pipeline.observer.read("news.dlq"))
    pipeline.send("news", [(b"bad", b"no avro at all")])
    letters = wait_for("the dead letter", lambda: pipeline.observer.read("news.dlq")[before:])
    assert [(letter.key, letter.value) for letter in letters] == [(b"bad", b"no avro at all")]
    assert b"news" in letters[0].headers.values()
    ends = pipeline.observer.end_offsets("news")
    wait_for("the consumer past the poison", lambda: all(
        pipeline.observer.committed("avro-consumer", "news").get(p, 0) >= end for p, end in ends.items()
    ))  # fmt: skip


def test_an_incompatible_schema_is_refused_and_nothing_is_written(pipeline: Pipeline) -> None:
    subject = "--subject=refusal-value"
    options = ("--topic", "word", subject, "--count", "1", "--source", "generator")
    first = pipeline.command("news-producer", *options, "--schema", "schemas/news.avsc")
    assert first.code == 0, first.output
    before = pipeline.total("word")
    refused = pipeline.command("news-producer", *options, "--schema", "schemas/news-v2-required.avsc")
    assert refused.code == 1
    assert "refusal-value" in refused.output
    assert "BACKWARD" in refused.output
    assert "409" in refused.output
    assert pipeline.total("word") == before
    accepted = pipeline.command("news-producer", *options, "--schema", "schemas/news-v2-optional.avsc")
    assert accepted.code == 0, accepted.output


def test_the_status_api_tells_the_lag_of_kafkas_own_tool(pipeline: Pipeline) -> None:
    group = pipeline.api("/api/v1/groups/connect-local-file-sink").json()
    table = pipeline.command(
        "newsroom", "kafka", "consumer-groups", "--describe", "--group", "connect-local-file-sink"
    ).output
    theirs = {
        int(match[1]): (int(match[2]), int(match[3]), int(match[4]))
        for match in re.finditer(r"mytopic\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", table)
    }
    ours = {each["partition"]: (each["committed"], each["end"], each["lag"]) for each in group["partitions"]}
    assert ours == theirs
    assert ours


def test_killed_in_the_middle_with_its_state_wiped_the_counts_are_exact(pipeline: Pipeline) -> None:
    pipeline.quiet()
    before = pipeline.observer.counts()
    words = [f"crash{i % 50}" for i in range(20_000)]
    pipeline.send("mytopic", [(word.encode(), word.encode()) for word in words[:10_000]])
    pipeline.stack.kill("wordcount-stream-1")
    shutil.rmtree(pipeline.layout.state("wordcount-stream"))
    pipeline.send("mytopic", [(word.encode(), word.encode()) for word in words[10_000:]])
    pipeline.stack.restart("wordcount-stream-1")
    wanted = {word: before.get(word, 0) + count for word, count in Counter(words).items()}

    def counted() -> dict[str, int] | None:
        counts = pipeline.observer.counts()
        return counts if sum(counts.get(word, 0) for word in wanted) >= sum(wanted.values()) else None

    wait_for("the counts after the crash", counted, 120)
    pipeline.quiet()
    counts = pipeline.observer.counts()
    assert {word: counts.get(word) for word in wanted} == wanted


def test_consumers_scale_and_every_partition_has_one_owner(pipeline: Pipeline) -> None:
    pipeline.stack.scale("avro-consumer", 3)

    def owners() -> Counter[int] | None:
        members = pipeline.api("/api/v1/groups/avro-consumer").json()["members"]
        owned = Counter(number for member in members for _topic, number in member["assignment"])
        return owned if len(members) == 3 and len(owned) == 6 else None

    owned = wait_for("three members with six partitions", owners)
    assert set(owned.values()) == {1}
    pipeline.stack.scale("avro-consumer", 1)
    wait_for("one member again", lambda: len(pipeline.api("/api/v1/groups/avro-consumer").json()["members"]) == 1)
