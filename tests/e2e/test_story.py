"""The whole pipeline through the compose network: the demo, the lab's rounds, evolution, the connector."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from newsroom_stack.layout import REPOSITORY
from newsroom_stack.pipeline.story import sink_lines
from support.pipeline import wait_for

if TYPE_CHECKING:
    from e2e.network import ContainerPipeline

pytestmark = pytest.mark.timeout(600)

DEMO_SECONDS = 180

REGISTRY = "http://registry:8080/apis/ccompat/v7"


def test_the_demo_of_a_running_stack_tells_its_story_and_leaves_it_running(pipeline: ContainerPipeline) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "newsroom_stack.cli.app", "--docker", "demo", "--for", "1s"],
        cwd=REPOSITORY, env=pipeline.stack.compose.environment() | pipeline.settings.as_environment(),
        capture_output=True, text=True, timeout=DEMO_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^pipeline: ok - \d+ headlines in, .* joined \(\d+, active\)", done.stdout, re.MULTILINE), (
        done.stdout
    )
    assert pipeline.stack.running()


def test_rounds_count_every_word_and_join_all_of_them(pipeline: ContainerPipeline) -> None:
    wanted = pipeline.count_rounds_and_join_all(6)
    counted = f"KTable wordCounts : key value10 - value {wanted['value10']}"
    wait_for("the count's line", lambda: counted in pipeline.log("wordcount-stream-1"))
    joined = f"key value10 - value ({wanted['value10']}, active)"
    wait_for("the join's line", lambda: joined in pipeline.log("join-service-1"))


def test_headlines_are_consumed_with_the_labs_words(pipeline: ContainerPipeline) -> None:
    wait_for("a consumed headline", lambda: "Consumed : News(" in pipeline.log("avro-consumer-1"))


def test_a_required_field_is_refused_and_nothing_is_written(pipeline: ContainerPipeline) -> None:
    pipeline.create_topic("refusal")
    options = ("--topic", "refusal", "--count", "1", "--schema")
    first = pipeline.command("news-producer", *options, "schemas/news.avsc")
    assert first.code == 0, first.output
    refused = pipeline.command("news-producer", *options, "schemas/news-v2-required.avsc")
    assert refused.code == 1
    versions = f"{REGISTRY}/subjects/refusal-value/versions"
    assert pipeline.ask(versions).json() == [1]
    assert all(word in refused.output for word in ("refusal-value", "BACKWARD", "409")), refused.output
    assert pipeline.total("refusal") == 1


def consume(pipeline: ContainerPipeline, group: str, *options: str) -> list[dict[str, Any]]:
    """Run an avro-consumer of its own until its topic is silent; what it wrote."""
    folder = f"/tmp/{group}"
    done = pipeline.command(
        "avro-consumer", "--group", group, "--sink", f"{folder}/sink", "--state-dir", folder, "--idle-exit", "4",
        *options,
    )  # fmt: skip
    assert done.code == 0, done.output
    written = pipeline.execute("avro-consumer", "cat", f"{folder}/sink/consumed-0.jsonl").output
    return [json.loads(line) for line in written.splitlines()]


def test_old_and_new_readers_both_read_old_and_new_records(pipeline: ContainerPipeline) -> None:
    pipeline.create_topic("evolution")
    for schema in ("schemas/news.avsc", "schemas/news-v2-optional.avsc"):
        sent = pipeline.command("news-producer", "--topic", "evolution", "--count", "2", "--schema", schema)
        assert sent.code == 0, sent.output
    assert pipeline.ask(f"{REGISTRY}/subjects/evolution-value/versions").json() == [1, 2]
    old = consume(pipeline, "old", "--topic", "evolution", "--reader-schema", "schemas/news.avsc")
    new = consume(pipeline, "new", "--topic", "evolution", "--reader-schema", "schemas/news-v2-optional.avsc")
    assert [sorted(entry["value"]) for entry in old] == [["media", "title"]] * 4
    assert [entry["value"]["test"] for entry in new] == [None] * 4


def test_the_connectors_file_holds_the_topics_values(pipeline: ContainerPipeline) -> None:
    assert pipeline.rounds(1).code == 0
    values = Counter((record.value or b"").decode() for record in pipeline.observer.read("mytopic"))

    def written() -> Counter[str]:
        return Counter(pipeline.execute("connect", "cat", "test.sink.txt").output.splitlines())

    wait_for("the connector's file", lambda: written() == values)
    assert sink_lines(pipeline.stack) == sum(values.values())


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


def test_the_page_and_the_api_show_the_pipeline(pipeline: ContainerPipeline) -> None:
    # A snapshot whose leader did not answer in time has no figure, the next one has it again.
    def figures() -> bool:
        found = pipeline.api("/api/v1/pipeline").json()
        return (found["records"]["news"] or 0) > 0 and found["words_counted"] > 0

    wait_for("the pipeline's figures", figures)
    status = pipeline.execute(
        "kafka-1",
        "/opt/kafka/bin/kafka-metadata-quorum.sh",
        "--bootstrap-server",
        "kafka-1:19092",
        "describe",
        "--status",
    )
    leader = re.search(r"LeaderId:\s+(\d+)", status.output)
    assert leader, status.output
    wait_for(
        f"node {leader[1]} as the controller",
        lambda: str(pipeline.api("/api/v1/cluster").json()["controller_id"]) == leader[1],
    )


def test_provision_can_run_again(pipeline: ContainerPipeline) -> None:
    output = pipeline.stack.compose.run("run", "--rm", "--no-deps", "provision", seconds=120)
    assert re.search(r"topic news: 6 partitions, replication 3, in sync \(exists\)", output), output
