"""Replicas come and go under load: who owns what, nothing lost, nothing counted twice."""

import re

import pytest

from e2e.network import ContainerPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(900)

PARTITIONS = 6
BATCH = 500
"""More records than the avro-consumer takes in one turn at this rate. A member that is stopped in order commits its
last batch, so this bounds what each change of the group may repeat, and none is expected."""


def test_consumers_scale_under_load_and_nothing_is_lost(pipeline: ContainerPipeline) -> None:
    steps = (3, 6, 7, 2)
    history = [pipeline.spread("avro-consumer", "news", 1)]
    with pipeline.load("news", rate=200) as account:
        for replicas in steps:
            pipeline.stack.scale("avro-consumer", replicas)
            owners = pipeline.spread("avro-consumer", "news", replicas)
            shares = sorted(len(mine) for mine in owners.values())
            assert shares == sorted(
                PARTITIONS // replicas + (number < PARTITIONS % replicas) for number in range(replicas)
            )
            healthy = [
                instance for instance in pipeline.stack.ps() if instance.service == "avro-consumer" and instance.ready
            ]
            assert len(healthy) == replicas, "an idle replica is healthy, too"
            assert owners != history[-1], "the status API has seen the rebalance"
            history.append(owners)
    duplicates = pipeline.duplicates_of_consumed(account)
    print(f"{account.sent} records, {len(steps)} changes of the group, {duplicates} duplicates")  # noqa: T201
    assert duplicates <= len(steps) * BATCH
    pipeline.stack.scale("avro-consumer", 1)
    pipeline.spread("avro-consumer", "news", 1)


def test_plain_compose_scales_a_service_and_keeps_its_first_container(pipeline: ContainerPipeline) -> None:
    def first() -> str | None:
        return pipeline.stack.find("avro-consumer-1")[0].id

    before = first()
    for replicas in (2, 1):
        pipeline.stack.compose.run("scale", f"avro-consumer={replicas}", seconds=120)
        pipeline.spread("avro-consumer", "news", replicas)
        assert first() == before


def identity(pipeline: ContainerPipeline, name: str) -> str:
    """The identity a replica took at its last start."""
    identities = re.findall(r"identity=(\S+)", pipeline.log(name))
    assert identities, f"{name} has not said which replica it is"
    return str(identities[-1])


def test_word_counts_are_exact_while_replicas_come_go_and_are_killed(pipeline: ContainerPipeline) -> None:
    replicas = ("wordcount-stream-1", "wordcount-stream-2")
    with pipeline.load("mytopic", rate=200) as account:
        pipeline.stack.scale("wordcount-stream", 2)
        pipeline.spread("wordcount-stream", "word-deltas", 2)
        before = [identity(pipeline, name) for name in replicas]
        assert sorted(before) == ["wordcount-stream-0", "wordcount-stream-1"]
        pipeline.stack.kill("wordcount-stream-1")
        pipeline.stack.restart("wordcount-stream-1")
        assert [identity(pipeline, name) for name in replicas] == before, "a killed replica takes its identity back"
        pipeline.spread("wordcount-stream", "word-deltas", 2)
        pipeline.stack.scale("wordcount-stream", 1)
        pipeline.spread("wordcount-stream", "word-deltas", 1)
    pipeline.counted_exactly(account)


def test_a_stream_replica_without_partitions_is_healthy(pipeline: ContainerPipeline) -> None:
    pipeline.stack.scale("join-service", PARTITIONS + 1)

    def shares() -> list[list[str]]:
        owners = pipeline.owners("join-service").values()
        return sorted(sorted(topic for topic, _ in mine if not topic.startswith("changelog__")) for mine in owners)

    wanted = [[], *[["word", "word-counts"]] * PARTITIONS]
    wait_for(f"{PARTITIONS} replicas own a pair of partitions and one is idle", lambda: shares() == wanted, 120)
    wait_for("each of them is ready, the idle one too", pipeline.all_ready, 60)
    pipeline.stack.scale("join-service", 1)
