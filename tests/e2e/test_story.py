"""The whole pipeline through the compose network: the demo, the lab's rounds, evolution, the connector."""

import os
import re
import subprocess

import httpx
import pytest

from e2e.network import ContainerPipeline
from newsroom_stack.interface import State
from newsroom_stack.layout import REPOSITORY
from support.scenarios import Scenarios
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

DEMO_SECONDS = 180


class TestPipeline(Scenarios):
    """What holds for processes and containers alike."""


def test_the_demo_of_a_running_stack_tells_its_story_and_leaves_it_running(pipeline: ContainerPipeline) -> None:
    done = pipeline.newsroom("demo", "--for", "1s", seconds=DEMO_SECONDS)
    assert done.code == 0, done.output
    ok = r"^pipeline: ok - \d+ headlines in, .* joined \(\d+, active\)"
    assert re.search(ok, done.output, re.MULTILINE), done.output
    assert pipeline.stack.running()


def docker(*command: str) -> str:
    done = subprocess.run(["docker", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout


def test_the_labs_own_way_to_run_the_connector(pipeline: ContainerPipeline) -> None:
    worker = pipeline.stack.compose.run("run", "--detach", "connect-standalone", seconds=120).strip()
    try:
        wait_for("its connector", lambda: "Created connector local-file-sink" in docker("logs", worker), 120)

        def shares() -> list[int]:
            return sorted(len(mine) for mine in pipeline.owners("connect-local-file-sink").values())

        wait_for("two workers that share the five partitions", lambda: shares() == [2, 3])
        docker("stop", "--time", "30", worker)
        wait_for("one worker again", lambda: shares() == [5])
    finally:
        docker("rm", "--force", worker)


def test_the_labs_own_way_leaves_a_stopped_worker_stopped(pipeline: ContainerPipeline) -> None:
    pipeline.stack.compose.run("stop", "connect", seconds=60)
    worker = pipeline.stack.compose.run("run", "--detach", "connect-standalone", seconds=120).strip()
    try:

        def shares() -> list[int]:
            return [len(mine) for mine in pipeline.owners("connect-local-file-sink").values()]

        wait_for("one worker with the five partitions", lambda: shares() == [5], 120)
        assert {instance.name: instance.state for instance in pipeline.stack.ps()}["connect"] == State.EXITED
    finally:
        docker("rm", "--force", worker)
        pipeline.stack.restart("connect")


def test_a_container_of_another_project_can_test_the_pipeline(pipeline: ContainerPipeline) -> None:
    file = REPOSITORY / "docker" / "example" / "compose.yml"
    done = subprocess.run(
        ["docker", "compose", "--file", str(file), "run", "--rm", "counts"],
        env={**os.environ, "NEWSROOM_PROJECT": pipeline.stack.compose.project},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": 1") == 5, done.stdout


def test_a_wrong_converter_fails_its_task_and_says_so(pipeline: ContainerPipeline) -> None:
    config = {
        "connector.class": "FileStreamSink",
        "topics": "news",
        "file": "/tmp/wrong.txt",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    }
    address = f"http://127.0.0.1:{pipeline.stack.ports.connect}/connectors/wrong"
    httpx.put(f"{address}/config", json=config, timeout=30).raise_for_status()
    try:
        wait_for("the task has failed", lambda: "DataException" in httpx.get(f"{address}/status").text)
        wait_for(
            "Connect is unhealthy",
            lambda: any(not instance.ready for instance in pipeline.stack.ps() if instance.name == "connect"),
        )
        doctor = pipeline.newsroom("doctor")
        assert doctor.code == 1
        assert re.search(r"connect .*FAILED", doctor.output), doctor.output
    finally:
        httpx.delete(address).raise_for_status()


def test_the_page_and_the_api_show_the_pipeline(pipeline: ContainerPipeline) -> None:
    # A snapshot whose leader did not answer in time has no figure, the next one has it again.
    def figures() -> bool:
        pipeline_figures = pipeline.api("/api/v1/pipeline").json()
        return (pipeline_figures["records"]["news"] or 0) > 0 and pipeline_figures["words_counted"] > 0

    wait_for("the pipeline's figures", figures)


def test_provision_can_run_again(pipeline: ContainerPipeline) -> None:
    output = pipeline.stack.compose.run("run", "--rm", "--no-deps", "provision", seconds=120)
    assert re.search(r"topic news: 6 partitions, replication 3, in sync \(exists\)", output), output
