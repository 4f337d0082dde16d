"""`newsroom replay wordcount-stream` on a real cluster: counts are those of the records that are there."""

import re
import signal
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from support.pipeline import KEYS, ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(300)


def changelog(pipeline: ProcessPipeline) -> str:
    topics = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap}).list_topics(timeout=10).topics
    (name,) = [name for name in topics if name.startswith("changelog__wordcount-stream--")]
    return str(name)


def test_a_rebuild_counts_each_record_once_and_forgets_what_is_not_there(pipeline: ProcessPipeline) -> None:
    assert pipeline.rounds(2).code == 0
    pipeline.quiet()
    words = [f"value{number}" for number in KEYS]
    before = pipeline.observer.counts()
    pipeline.send("word-counts", [(b"phantom-of-a-word", b"7")])
    shown = pipeline.command("newsroom", "replay", "wordcount-stream")
    assert shown.output.splitlines()[0] == "this would be deleted; --execute does it:"
    assert "- the records of word-deltas" in shown.output
    assert pipeline.observer.counts()["phantom-of-a-word"] == 7, "without --execute nothing happens"
    done = pipeline.command("newsroom", "replay", "wordcount-stream", "--execute", seconds=120)
    assert done.code == 0, done.output
    assert "1 replicas of wordcount-stream run again" in done.last_line

    def counted() -> bool:
        counts = pipeline.observer.counts()
        return all(counts.get(word) == before[word] for word in words)

    wait_for("the same counts", counted, 90)
    pipeline.quiet()
    after = pipeline.observer.counts()
    assert {word: after[word] for word in words} == {word: before[word] for word in words}, "no word is counted twice"
    assert "phantom-of-a-word" not in after
    assert changelog(pipeline)


def test_a_rebuild_that_is_killed_anywhere_is_ended_by_the_command_that_the_service_names(
    pipeline: ProcessPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pipeline.rounds(1).code == 0
    pipeline.quiet()
    words = [f"value{number}" for number in KEYS]
    before = pipeline.observer.counts()
    command = ["newsroom", "replay", "wordcount-stream", "--execute"]
    for step in (1, 2, 3, 4):
        monkeypatch.setenv("NEWSROOM_CRASH_AT", f"after-effect:{step}")
        killed = pipeline.command(*command, seconds=120)
        assert killed.code == -signal.SIGKILL, killed.output
        monkeypatch.delenv("NEWSROOM_CRASH_AT")
        if step == 1:
            # The command has stopped the stack's replica. One that starts now would count on without its state.
            ended = pipeline.command("wordcount-stream", "--state-dir", str(tmp_path), "--http-port", "0")
            assert ended.code == 1, ended.output
            remedy = re.search(r"changelog \S+ is missing, .* and run '(newsroom [^']+)'", ended.output)
            assert remedy is not None, ended.output
            command = remedy[1].split()
    done = pipeline.command(*command, seconds=120)
    assert done.code == 0, done.output
    start = re.search(r"'(newsroom [^']+)' starts wordcount-stream again", done.last_line)
    assert start is not None, done.output
    assert pipeline.command(*start[1].split(), seconds=120).code == 0

    def counted() -> bool:
        counts = pipeline.observer.counts()
        return {word: counts.get(word) for word in words} == {word: before[word] for word in words}

    wait_for("the same counts", counted, 90)
    pipeline.quiet()
    assert counted(), "no word is counted twice"


def test_a_member_of_somebody_else_is_named_and_nothing_is_deleted(pipeline: ProcessPipeline) -> None:
    pipeline.stack.scale("wordcount-stream", 0)
    config = {"bootstrap.servers": pipeline.ports.bootstrap, "group.id": "wordcount-stream", "client.id": "stranger"}
    consumer = Consumer(config)
    try:
        consumer.subscribe(["mytopic"])
        wait_for("the stranger's membership", lambda: consumer.poll(0.2) or consumer.assignment())
        ends = pipeline.observer.end_offsets("word-counts")
        done = pipeline.command("newsroom", "replay", "wordcount-stream", "--execute")
        assert done.code == 1
        assert "has 1 members (stranger at 127.0.0.1), and 0 of them are replicas" in done.last_line
        assert pipeline.observer.end_offsets("word-counts") == ends
        assert changelog(pipeline)
    finally:
        consumer.close()
        pipeline.stack.scale("wordcount-stream", 1)
    wait_for("the replica", pipeline.all_ready)
