"""`newsroom groups` on a real cluster, beside Kafka's own ConsumerGroupCommand."""

import json
import time
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from support.pipeline import Finished, ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(480)  # twelve starts of a JVM with --whole

TOPIC, GROUP = "reset-me", "reset-group"


def groups(pipeline: ProcessPipeline, *arguments: str) -> Finished:
    return pipeline.command("newsroom", "groups", *arguments)


def commit(pipeline: ProcessPipeline, group: str, *places: tuple[str, int, int], **options: str) -> None:
    config = {"bootstrap.servers": pipeline.ports.bootstrap, "group.id": group, **options}
    consumer = Consumer(config)
    consumer.commit(offsets=[TopicPartition(*place) for place in places], asynchronous=False)
    consumer.close()


def fill(pipeline: ProcessPipeline, topic: str) -> int:
    """Ten old records and ten young ones in each of two partitions; a time between them in milliseconds."""
    pipeline.create_topic(topic, 2)
    producer = Producer({"bootstrap.servers": pipeline.ports.bootstrap})
    now = int(time.time() * 1000)
    for age in (7_200_000, 60_000):
        for number in range(20):
            producer.produce(topic, b"%d" % number, partition=number % 2, timestamp=now - age)
        assert producer.flush(30) == 0
    return now - 3_600_000


def as_kafka_says(pipeline: ProcessPipeline, *strategy: str) -> dict[tuple[str, int], int]:
    """The new offsets of Kafka's own dry run."""
    options = ("--reset-offsets", "--group", GROUP, "--topic", TOPIC, "--dry-run", *strategy)
    output = pipeline.kafka("consumer-groups", *options)
    rows = [line.split() for line in output.splitlines() if line.startswith(GROUP)]
    assert rows, output
    return {(row[1], int(row[2])): int(row[3]) for row in rows}


def test_every_strategy_moves_as_kafkas_own_tool_does(
    pipeline: ProcessPipeline, request: pytest.FixtureRequest
) -> None:
    between = datetime.fromtimestamp(fill(pipeline, TOPIC) / 1000, UTC)
    commit(pipeline, GROUP, (TOPIC, 0, 4), (TOPIC, 1, 15))
    moment, late = (f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}" for time in (between, datetime.now(UTC)))
    strategies: dict[str, tuple[str, ...]] = {
        "-9": ("--shift-by", "-9"),
        "1h": ("--by-duration", "PT1H"),
        moment: ("--to-datetime", moment),
    }
    if request.config.getoption("--whole"):
        strategies |= {
            "earliest": ("--to-earliest",),
            "latest": ("--to-latest",),
            "7": ("--to-offset", "7"),
            "1000": ("--to-offset", "1000"),
            "-2": ("--shift-by", "-2"),
            "+9": ("--shift-by", "9"),
            "+0": ("--to-current",),
            late: ("--to-datetime", late),
        }
    resets = {}
    for to, strategy in strategies.items():
        done = groups(pipeline, "reset", GROUP, "--to", to, "--json")
        assert done.code == 0, done.output
        answer = json.loads(done.output)
        assert not answer["executed"]
        resets[to] = {(move["topic"], move["partition"]): move["new"] for move in answer["partitions"]}
        assert resets[to] == as_kafka_says(pipeline, *strategy), to
    assert resets[moment] == resets["1h"] == {(TOPIC, 0): 10, (TOPIC, 1): 10}, "the first young record"
    assert resets["-9"] == {(TOPIC, 0): 0, (TOPIC, 1): 6}
    assert pipeline.observer.committed(GROUP, TOPIC) == {0: 4, 1: 15}, "a dry run changes nothing"
    done = groups(pipeline, "reset", GROUP, "--to", "-2", "--topic", f"{TOPIC}:1", "--execute")
    assert "2 records to read again, 0 to skip" in done.last_line
    assert pipeline.observer.committed(GROUP, TOPIC) == {0: 4, 1: 13}
    done = groups(pipeline, "delete", GROUP, "--execute")
    assert done.last_line == f"group {GROUP} is deleted"
    assert "there is no group" in groups(pipeline, "describe", GROUP).last_line


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_with_members_is_refused_and_named(pipeline: ProcessPipeline, protocol: str) -> None:
    topic = group = f"busy-{protocol}"
    pipeline.create_topic(topic)
    pipeline.send(topic, [(None, b"a"), (None, b"b")])
    config = {"bootstrap.servers": pipeline.ports.bootstrap, "group.id": group, "client.id": "busy"}
    consumer = Consumer(config | {"group.protocol": protocol, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        wait_for("its two records", lambda: len([consumer.poll(0.2) for _ in range(5)]) and consumer.assignment())
        consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
        for arguments in (("reset", group, "--to", "earliest", "--execute"), ("delete", group, "--execute")):
            done = groups(pipeline, *arguments)
            assert done.code == 1
            assert f"error: group {group} has 1 member (busy at 127.0.0.1): stop them first" in done.last_line
        described = json.loads(groups(pipeline, "describe", group, "--json").output)
        assert (described["type"], described["members"][0]["client"]) == (protocol, "busy")
        assert described["partitions"] == [{"topic": topic, "partition": 0, "committed": 2, "end": 2, "lag": 0}]
    finally:
        consumer.close()
    assert groups(pipeline, "reset", group, "--to", "earliest", "--execute").code == 0
    assert pipeline.observer.committed(group, topic) == {0: 0}


def test_a_streams_offsets_are_not_moved_without_its_state(pipeline: ProcessPipeline) -> None:
    done = groups(pipeline, "reset", "wordcount-stream", "--to", "earliest", "--execute")
    assert done.code == 1
    assert "stop them first" in done.last_line
    listed = {group["name"]: group for group in json.loads(groups(pipeline, "list", "--json").output)}
    assert listed["wordcount-stream"]["state"] == "Stable"


def test_a_share_group_is_listed_as_what_it_is(pipeline: ProcessPipeline) -> None:
    pipeline.create_topic("shared-out")
    pipeline.kafka("console-share-consumer", "--topic", "shared-out", "--group", "sharers", "--timeout-ms", "3000")
    listed = groups(pipeline, "list").output
    assert any(line.split()[:2] == ["sharers", "share"] for line in listed.splitlines()), listed
    done = groups(pipeline, "reset", "sharers", "--to", "earliest", "--topic", "shared-out", "--execute")
    assert "sharers is a share group" in done.last_line
    assert "newsroom kafka share-groups" in done.last_line
