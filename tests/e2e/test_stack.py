"""The containers themselves: started in one try, healthy, within their limits, closed to the outside."""

import json
import subprocess

import pytest

from e2e.network import ContainerPipeline
from newsroom_stack.catalogue import SERVICES
from newsroom_stack.containers.container import name_of
from newsroom_stack.layout import REPOSITORY
from support.pipeline import HTTP_OK
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(1500)

IMAGE_BYTES = 300 * 10**6
"""Interpreter and common dependencies are 235 MB; a stream's own layers have 34 MB (docs/containers.md)."""

OURS = [kind.name for kind in SERVICES]


def test_the_configuration_has_no_warning(project: ContainerPipeline) -> None:
    environment = project.stack.compose.environment()
    for command in (["config", "--quiet"], ["--profile", "*", "config", "--quiet"]):
        done = subprocess.run(
            ["docker", "compose", *command], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
        )
        assert (done.stdout, done.stderr) == ("", "")


def test_everything_is_up_in_one_try_and_healthy(pipeline: ContainerPipeline) -> None:
    wait_for("everything is healthy", pipeline.all_ready)
    instances = {instance.name: instance for instance in pipeline.stack.ps()}
    expected = {"kafka-1", "kafka-2", "kafka-3", "registry", "connect", "kafka-ui", "status-api"}
    expected |= {"avro-consumer-1", "wordcount-stream-1", "join-service-1", "news-producer-1"}
    assert set(instances) == expected | {"tester"}
    # A stream service may meet a broker that does not know its new changelog yet, and start again.
    may = {name: 1 if instance.role == "service" else 0 for name, instance in instances.items()}
    assert {name: instance.restarts for name, instance in instances.items() if instance.restarts > may[name]} == {}
    assert sum(instance.memory_bytes for instance in instances.values()) < 4 * 1024**3


def test_the_command_line_shows_the_containers(pipeline: ContainerPipeline) -> None:
    table = {row["name"]: row for row in json.loads(pipeline.newsroom("ps", "--json").output)}
    assert table["avro-consumer-1"]["state"] == "running"
    assert table["kafka-2"]["address"] == f"localhost:{pipeline.stack.ports.brokers[1]}"
    assert "total memory" in pipeline.newsroom("ps").output
    assert "topic mytopic: 5 partitions, replication 3, in sync" in pipeline.newsroom("logs", "provision").output


def test_ports_are_published_on_the_loopback_alone(pipeline: ContainerPipeline) -> None:
    for container in pipeline.stack.containers():
        bindings = [binding for found in container.ports.values() for binding in found or []]
        assert {binding["HostIp"] for binding in bindings} <= {"127.0.0.1"}, container.name
        scalable = any(
            kind.name == container.labels["com.docker.compose.service"] and kind.scalable for kind in SERVICES
        )
        assert not (scalable and bindings), f"{container.name} could not be scaled"


def test_nothing_runs_as_root_and_nobody_has_the_engine(pipeline: ContainerPipeline) -> None:
    for container in pipeline.stack.containers():
        if container.status != "running":
            continue
        top = container.top(ps_args="-eo pid,uid,args")
        users = {row[top["Titles"].index("UID")] for row in top["Processes"]}
        assert "0" not in users, container.name
        assert not [mount for mount in container.attrs["Mounts"] if "docker.sock" in mount.get("Source", "")]


def test_every_container_is_closed_and_limited(pipeline: ContainerPipeline) -> None:
    for container in pipeline.stack.containers():
        host = container.attrs["HostConfig"]
        limits = {
            "read-only": host["ReadonlyRootfs"],
            "no capabilities": host["CapDrop"] == ["ALL"] and not host["CapAdd"],
            "no new privileges": "no-new-privileges:true" in host["SecurityOpt"],
            "memory": 0 < host["Memory"] <= 1024**3,
            "processes": 0 < (host["PidsLimit"] or 0) <= 1024,
            "init": host["Init"],
            "log rotation": "max-size" in host["LogConfig"]["Config"] or name_of(container) == "tester",
            "stop grace": (container.attrs["Config"].get("StopTimeout") or 0) >= 30 or name_of(container) == "tester",
        }
        assert [what for what, good in limits.items() if not good] == [], container.name


def test_an_image_is_small_and_labelled(pipeline: ContainerPipeline) -> None:
    for container in pipeline.stack.containers():
        if container.labels["com.docker.compose.service"] in OURS:
            image = container.image
            assert image is not None
            assert image.attrs["Size"] <= IMAGE_BYTES, container.name
            labels = {name.removeprefix("org.opencontainers.image.") for name in image.labels}
            assert labels >= {"title", "description", "licenses", "version", "revision", "source"}, container.name


def test_health_and_metrics_of_every_service_are_answered_in_the_network(pipeline: ContainerPipeline) -> None:
    for service in OURS:
        for path in ("/livez", "/readyz", "/metrics"):

            def answers(url: str = f"http://{service}:8000{path}") -> bool:
                return pipeline.ask(url).status == HTTP_OK

            wait_for(f"{service} answers {path}", answers)


def test_kafka_ui_answers(pipeline: ContainerPipeline) -> None:
    assert pipeline.ask("http://kafka-ui:8080/actuator/health").status == 200
