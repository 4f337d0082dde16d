"""Kill, pause and restart each member under load: what was acknowledged is consumed, and counted exactly once."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from e2e.network import ContainerPipeline
from newsroom_stack.interface import State
from support.pipeline import HTTP_OK
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(900)

RATE = 50
BATCH = 500
"""More records than the avro-consumer takes in one turn at these rates: what a killed member may have written and not
committed."""

MEMBERS = (
    ("news-producer-1", "status-api"),
    ("avro-consumer-1", "wordcount-stream-1"),
    ("join-service-1", "connect"),
    ("registry",),
    ("kafka-2",),
)
"""Those of one line fail at the same time. Neither needs the other, so each heals as if it had failed alone."""

GROUPS = {
    "avro-consumer-1": "avro-consumer",
    "wordcount-stream-1": "wordcount-stream",
    "join-service-1": "join-service",
}

Names = tuple[str, ...]


def kill(pipeline: ContainerPipeline, names: Names) -> None:
    for name in names:
        pipeline.stack.kill(name)
    states = {instance.name: instance.state for instance in pipeline.stack.ps()}
    assert {name: states[name] for name in names} == dict.fromkeys(names, State.KILLED)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(pipeline.stack.restart, names))


def pause(pipeline: ContainerPipeline, names: Names) -> None:
    """Longer than the session of each that has one: others must have given it up when it goes on."""
    for name in names:
        pipeline.stack.pause(name)
    time.sleep(2)  # nobody notices a member without a session: it just stands still for a while
    for name in names:
        if name in GROUPS:
            wait_for(f"the group without {name}", partial(is_empty, pipeline, GROUPS[name]), 60)
        elif name.startswith("kafka"):
            wait_for("under-replicated partitions", partial(under_replicated, pipeline), 60)
    for name in names:
        pipeline.stack.resume(name)


def restart(pipeline: ContainerPipeline, names: Names) -> None:
    pipeline.stack.compose.run("restart", *(name.removesuffix("-1") for name in names), seconds=120)


def is_empty(pipeline: ContainerPipeline, group: str) -> bool:
    """Whether a group is known to have no member."""
    known = pipeline.group(group)
    return known is not None and known["state"] == "Empty"


def under_replicated(pipeline: ContainerPipeline) -> int | None:
    """What the status API says, if it has an answer now."""
    answer = pipeline.api("/api/v1/cluster")
    return int(answer.json()["under_replicated_partitions"]) if answer.status == HTTP_OK else None


def crashed_workers(pipeline: ContainerPipeline) -> list[str]:
    """What gunicorn said about workers of the status API that a fault in native code has ended."""
    return [line for _, line in pipeline.stack.logs("status-api") if re.search("SIGSEGV|SIGABRT", line)]


@pytest.mark.parametrize("names", MEMBERS, ids="+".join)
def test_nothing_acknowledged_is_lost_and_counts_stay_exact(pipeline: ContainerPipeline, names: Names) -> None:
    with pipeline.load("news", RATE) as news, pipeline.load("mytopic", RATE) as strings:
        for fault in (kill, pause, restart):
            fault(pipeline, names)
            wait_for(f"everything is ready after {fault.__name__}", pipeline.all_ready, 120)
    duplicates = pipeline.duplicates_of_consumed(news)
    assert duplicates <= 3 * BATCH
    pipeline.counted_exactly(strings)
    pipeline.count_rounds_and_join_all(1)
    if "kafka-2" in names:
        wait_for("every replica in sync again", lambda: under_replicated(pipeline) == 0, 120)
        assert crashed_workers(pipeline) == []


def test_without_two_brokers_writes_are_refused_loudly_and_acknowledged_data_comes_back(
    pipeline: ContainerPipeline,
) -> None:
    pipeline.create_topic("outage", partitions=3)
    options = ("--format", "string", "--topic", "outage")
    assert pipeline.command("news-producer", *options).code == 0
    before = sorted((record.key, record.value) for record in pipeline.observer.read("outage"))
    assert len(before) == 42
    for broker in ("kafka-2", "kafka-3"):
        pipeline.stack.kill(broker)
    refused = pipeline.command("news-producer", *options, "--message-timeout", "15", seconds=90)
    assert refused.code == 1, refused.output
    loud = r"42 of 42 records to topic outage at .* failed: .*(timed out|NOT_ENOUGH_REPLICAS)"
    assert re.search(loud, refused.output), refused.output
    assert "delivered=0 failed=42" in refused.output
    for broker in ("kafka-2", "kafka-3"):
        pipeline.stack.restart(broker)
    wait_for("everything is ready again", pipeline.all_ready, 180)
    wait_for("every replica in sync again", lambda: under_replicated(pipeline) == 0, 120)
    after = sorted((record.key, record.value) for record in pipeline.observer.read("outage"))
    assert [record for record in before if record not in after] == []
    assert pipeline.command("news-producer", *options).code == 0
    pipeline.count_rounds_and_join_all(1)
    assert crashed_workers(pipeline) == []
