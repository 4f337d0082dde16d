"""The engine itself restarts, as at a reboot of the machine: what ran runs again, and what was stopped stays stopped.

The test restarts the engine only where TEST_ENGINE_RESTART has the command that does it: nobody's own engine.
"""

import os
import subprocess

import docker
import pytest

from e2e.network import ContainerPipeline
from newsroom_stack.containers.container import name_of
from newsroom_stack.interface import Instance, State
from newsroom_stack.layout import REPOSITORY
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(900)

RESTART = os.environ.get("TEST_ENGINE_RESTART", "")
RESTART_SECONDS = 180
HEAL_SECONDS = 180

STOPPED = {"connect", "kafka-ui", "join-service-1"}
"""A JVM that is stopped exits with 143 and a service with 0: the engine must treat both the same."""


def strangers(project: str) -> list[str]:
    """The running containers of others, which a restart of the engine would interrupt."""
    client = docker.from_env()
    try:
        running = client.containers.list()
        return [str(other.name) for other in running if other.labels.get("com.docker.compose.project") != project]
    finally:
        client.close()


def starts(pipeline: ContainerPipeline) -> dict[str, str]:
    """When each container has started last."""
    return {name_of(container): container.attrs["State"]["StartedAt"] for container in pipeline.stack.containers()}


def restart_engine(pipeline: ContainerPipeline) -> None:
    assert strangers(pipeline.stack.compose.project) == [], "other containers run on this engine: it must not restart"
    pipeline.agent.close()
    pipeline.stack.close()
    subprocess.run(RESTART, shell=True, cwd=REPOSITORY, timeout=RESTART_SECONDS, check=True)  # noqa: S602 - as asked for


def states(pipeline: ContainerPipeline) -> dict[str, Instance]:
    return {instance.name: instance for instance in pipeline.stack.ps()}


@pytest.mark.skipif(not RESTART, reason="TEST_ENGINE_RESTART has no command that may restart the engine")
def test_what_ran_runs_again_and_what_was_stopped_stays_stopped(pipeline: ContainerPipeline) -> None:
    counts = pipeline.count_rounds_and_join_all(1)
    pipeline.stack.compose.run("stop", *{name.removesuffix("-1") for name in STOPPED}, seconds=90)
    before = starts(pipeline)

    restart_engine(pipeline)

    def whole() -> bool:
        return all(instance.ready for name, instance in states(pipeline).items() if name not in STOPPED)

    wait_for("what ran is ready again", whole, HEAL_SECONDS)
    after = starts(pipeline)
    ran = set(states(pipeline)) - STOPPED
    assert {name for name in ran if after[name] == before[name]} == set(), "the engine has started them again"
    down = {name for name, instance in states(pipeline).items() if instance.state in {State.EXITED, State.KILLED}}
    assert down == STOPPED
    assert {name: after[name] for name in STOPPED} == {name: before[name] for name in STOPPED}

    pipeline.connect()
    pipeline.stack.compose.run("start", *{name.removesuffix("-1") for name in STOPPED}, seconds=90)
    wait_for("everything is ready", pipeline.all_ready, HEAL_SECONDS)
    assert {word: pipeline.observer.counts()[word] for word in counts} == counts
    pipeline.count_rounds_and_join_all(1)
