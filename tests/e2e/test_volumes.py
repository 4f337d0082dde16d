"""What stays when the containers go, and what does not."""

import docker
import pytest

from e2e.network import ContainerPipeline
from newsroom_stack.errors import StackError
from newsroom_stack.pipeline.story import sink_lines
from support.pipeline import KEYS
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(900)


def volumes(project: str) -> list[str]:
    client = docker.from_env()
    try:
        filters: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={project}"}
        return [volume.name for volume in client.volumes.list(filters=filters)]
    finally:
        client.close()


def value_counts(pipeline: ContainerPipeline) -> dict[str, int]:
    counts = pipeline.observer.counts()
    return {f"value{i}": counts.get(f"value{i}", 0) for i in KEYS}


def test_down_and_up_keeps_data(pipeline: ContainerPipeline) -> None:
    wanted = pipeline.count_rounds_and_join_all(2)
    lines = sink_lines(pipeline.stack)
    subjects = pipeline.registry("/subjects").json()

    def consumed() -> int:
        return sum(pipeline.observer.committed("avro-consumer", "news").values())

    before = wait_for("what the avro-consumer has committed", consumed)
    pipeline.agent.close()

    pipeline.stack.down()
    assert pipeline.stack.containers() == []
    pipeline.stack.up()

    pipeline.connect()
    assert value_counts(pipeline) == wanted
    assert pipeline.registry("/subjects").json() == subjects
    assert sink_lines(pipeline.stack) >= lines
    # While leaders move back, a coordinator may not answer.
    wait_for("its commits are kept", lambda: consumed() >= before)
    pipeline.count_rounds_and_join_all(1)


def test_a_topic_that_is_not_as_declared_is_said_at_once_and_its_data_can_be_deleted(
    pipeline: ContainerPipeline,
) -> None:
    pipeline.agent.call("grow_topic", name="news.dlq", partitions=7)
    with pytest.raises(StackError, match=r"(?s)provision.* news\.dlq has 7 partitions, declared 6"):
        pipeline.stack.up()
    project = pipeline.stack.compose.project
    assert volumes(project) != []
    pipeline.agent.close()
    pipeline.stack.down(wipe=True)
    assert (pipeline.stack.containers(), volumes(project)) == ([], [])
