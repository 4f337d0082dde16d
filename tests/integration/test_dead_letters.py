"""`newsroom dlq`, `peek` and `label` on a real cluster."""

import json
import signal
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from newsroom_stack.cluster.letters import BATCH
from support.pipeline import Finished, ProcessPipeline

pytestmark = pytest.mark.timeout(240)

MANY = 5 * BATCH + 7


def newsroom(pipeline: ProcessPipeline, *arguments: str) -> Finished:
    return pipeline.command("newsroom", *arguments)


def letters(pipeline: ProcessPipeline, topic: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(newsroom(pipeline, "dlq", "list", "--topic", topic, "--json").output)
    return rows


def test_poison_comes_back_with_a_higher_count_and_a_good_record_does_not(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    source, dlq = "poisoned", "poisoned.dlq"
    pipeline.create_topic(source)
    pipeline.create_topic(dlq, 2)
    producer = Producer({"bootstrap.servers": pipeline.ports.bootstrap})
    producer.produce(source, b"\xff\xfe", b"k\xc3\xbc", headers=[("trace", b"7")])
    assert producer.flush(30) == 0

    def consume() -> None:
        options = ("--format", "string", "--topic", source, "--group", "poisoned", "--dlq-topic", dlq)
        done = pipeline.command("avro-consumer", *options, "--idle-exit", "4", "--state-dir", str(tmp_path))
        assert done.code == 0, done.output

    consume()
    (first,) = letters(pipeline, dlq)
    assert first["origin"] == {"topic": source, "partition": 0, "offset": 0}
    assert (first["key"], first["rounds"]) == ("kü", 0)
    assert "not valid UTF-8" in str(first["reason"])
    shown = newsroom(pipeline, "dlq", "show", f"{first['partition']}:{first['offset']}", "--topic", dlq).output
    assert "trace: 7\n" in shown
    assert "00000000  ff fe" in shown
    for rounds in (1, 2):
        done = newsroom(pipeline, "dlq", "replay", "--topic", dlq)
        assert done.last_line.startswith(f"1 dead letters of {dlq} sent again;"), done.output
        again = pipeline.observer.read(source)[-1]
        assert (again.key, again.value) == (b"k\xc3\xbc", b"\xff\xfe")
        assert again.headers == {"trace": b"7", "dlq.replays": b"%d" % rounds}
        consume()
        assert sorted(str(letter["rounds"]) for letter in letters(pipeline, dlq)) == [str(n) for n in range(rounds + 1)]
    done = newsroom(pipeline, "dlq", "purge", "--replayed", "--execute", "--topic", dlq)
    assert done.code == 0, done.output
    assert [letter["rounds"] for letter in letters(pipeline, dlq)] == [2], "what was not sent again is still there"


def test_a_replay_that_is_killed_anywhere_sends_each_letter_once(
    pipeline: ProcessPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, dlq = "killed-origin", "killed.dlq"
    pipeline.create_topic(origin, 3)
    pipeline.create_topic(dlq, 2)
    producer = Producer({"bootstrap.servers": pipeline.ports.bootstrap, "linger.ms": 50})
    for number in range(MANY):
        headers = [("__connect.errors.topic", origin.encode()), ("__connect.errors.partition", b"%d" % (number % 3))]
        producer.produce(dlq, b"%d" % number, partition=number % 2, headers=headers)
        producer.poll(0)
    assert producer.flush(60) == 0

    for place in ("before-effect", "after-effect", "before-commit", "after-commit"):
        # Each run is killed in its second transaction; only the last one has committed that, too.
        monkeypatch.setenv("NEWSROOM_CRASH_AT", f"{place}:2")
        killed = newsroom(pipeline, "dlq", "replay", "--topic", dlq)
        assert killed.code == -signal.SIGKILL, killed.output
    monkeypatch.delenv("NEWSROOM_CRASH_AT")
    last = newsroom(pipeline, "dlq", "replay", "--topic", dlq)
    # Five batches are committed: one by each run, and a second one by the last.
    assert last.last_line.startswith(f"{MANY - 5 * BATCH} dead letters of {dlq} sent again"), last.output
    times = Counter(record.value for record in pipeline.observer.read(origin))
    assert times == Counter(b"%d" % number for number in range(MANY))
    done = newsroom(pipeline, "dlq", "replay", "--topic", dlq)
    assert done.last_line.startswith(f"0 dead letters of {dlq} sent again")


def test_peek_shows_the_last_records_in_text_and_bytes_and_label_sends_one(pipeline: ProcessPipeline) -> None:
    done = newsroom(pipeline, "label", "peeked", "seen")
    assert done.code == 0, done.output
    assert done.last_line.endswith(": peeked is labelled seen")
    (record,) = json.loads(newsroom(pipeline, "peek", "word", "-n", "1", "--json").output)
    assert (record["key"], record["type"], record["value"], record["bytes"]) == ("peeked", "string", "seen", "7365656e")
    news = json.loads(newsroom(pipeline, "peek", "news", "-n", "3", "--json").output)
    assert len(news) == 3
    assert {record["type"] for record in news} == {"newsroom.News"}
    assert all(record["bytes"].startswith("0000") and set(record["value"]) == {"title", "media"} for record in news)
    (oldest,) = json.loads(
        newsroom(pipeline, "peek", "news", "--partition", "2", "--from", "earliest", "-n", "1", "--json").output
    )
    assert (oldest["partition"], oldest["offset"]) == (2, 0)
    assert "there is no topic nowhere at" in newsroom(pipeline, "peek", "nowhere").last_line
