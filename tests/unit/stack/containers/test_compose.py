"""The compose file says what the stack as processes says: brokers, ports, services."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from newsroom import __version__
from newsroom.topics import REGISTRY_GROUPS
from newsroom_stack.catalogue import LAB_WRITERS, SERVICES
from newsroom_stack.containers.compose import Compose
from newsroom_stack.errors import StackError
from newsroom_stack.jvm.artifacts import LOCK_FILE, REGISTRY_ARTIFACT
from newsroom_stack.jvm.launch import CLUSTER_ID, HEAP, Node, node_properties
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.ports import Ports
from newsroom_stack.settings import StackSettings
from status_api.surroundings import parse_services

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
BROKERS = ("kafka-1", "kafka-2", "kafka-3")

PLACE = {"listeners", "advertised.listeners", "listener.security.protocol.map", "controller.quorum.voters", "log.dirs"}
"""Where a broker is, which differs between a machine and a network of containers."""


def properties_of(environment: dict[str, Any]) -> dict[str, str]:
    """The server.properties that the image makes of its environment (KafkaDockerWrapper's rule)."""
    not_properties = re.compile(r"KAFKA_(HEAP_OPTS|JVM_PERFORMANCE_OPTS|LOG4J_OPTS|OPTS|JMX_.*)$")
    return {
        name.removeprefix("KAFKA_")
        .lower()
        .replace("___", "-")
        .replace("__", "\0")
        .replace("_", ".")
        .replace("\0", "_"): str(value)
        for name, value in environment.items()
        if name.startswith("KAFKA_") and not not_properties.match(name)
    }


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_broker_in_a_container_has_the_settings_of_one_as_a_process(number: int, tmp_path: Path) -> None:
    text = node_properties(Node(number, 29092, (29093, 39093, 49093), tmp_path))
    process = dict(line.split("=", 1) for line in text.splitlines())
    environment = COMPOSE["services"][f"kafka-{number}"]["environment"]
    container = properties_of(environment)
    assert {k: v for k, v in container.items() if k not in PLACE} == {
        k: v for k, v in process.items() if k not in PLACE
    }
    assert set(container) == set(process)
    assert environment["CLUSTER_ID"] == CLUSTER_ID
    assert f"-Xmx{HEAP['broker']}" in environment["KAFKA_HEAP_OPTS"]


def test_both_ways_run_the_same_versions_and_so_does_the_pinned_overlay() -> None:
    lock = tomllib.loads(LOCK_FILE.read_text())["dependencies"]
    versions = {jar["artifactId"]: jar["version"] for jar in lock}
    kafka, registry = versions["kafka_2.13"], versions[REGISTRY_ARTIFACT]
    services = COMPOSE["services"]
    assert {services[name]["image"] for name in (*BROKERS, "connect")} == {f"apache/kafka:{kafka}"}
    assert services["registry"]["image"] == f"apicurio/apicurio-registry:{registry}"
    assert services["connect"]["environment"]["CLASSPATH"].endswith(f"connect-file-{kafka}.jar")
    pinned = yaml.safe_load((REPOSITORY / "compose.pinned.yml").read_text())["services"]
    for name, service in services.items():
        if "image" in service:
            assert pinned[name]["image"].partition("@sha256:")[0] == service["image"], name


def test_the_registrys_groups_are_called_the_same_everywhere() -> None:
    assert COMPOSE["services"]["provision"]["environment"]["NEWSROOM_PROVISION_FORGET_GROUPS"] == REGISTRY_GROUPS
    rules = (REPOSITORY / "deploy/prometheus/rules.yml").read_text()
    assert set(re.findall(r'group!~"([^"]*)"', rules)) == {f"{REGISTRY_GROUPS}.*"}


def test_both_ways_publish_the_same_ports() -> None:
    ports = Ports()
    published = {
        name: [re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}:\d+", port) for port in service.get("ports", [])]
        for name, service in COMPOSE["services"].items()
    }
    numbers = {name: int(match[1]) for name, matches in published.items() for match in matches if match}
    assert all(match for matches in published.values() for match in matches)
    assert numbers == {
        **dict(zip(BROKERS, ports.brokers, strict=True)),
        "registry": ports.registry,
        "connect": ports.connect,
        "status-api": ports.status,
        "kafka-ui": ports.ui,
        "prometheus": ports.prometheus,
        "grafana": ports.grafana,
    }


def test_every_service_of_the_stack_is_a_container_and_has_a_lock() -> None:
    for kind in SERVICES:
        service = COMPOSE["services"][kind.name]
        assert service["build"]["args"]["SERVICE"] == kind.name
        assert "container_name" not in service
        assert bool(service.get("ports")) != kind.scalable
        assert (REPOSITORY / "requirements" / f"{kind.name}.lock").exists()


def test_every_port_variable_that_the_file_reads_is_set_from_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    text = (REPOSITORY / "docker-compose.yml").read_text()
    variables = set(re.findall(r"\$\{(NEWSROOM_\w+_PORT):-", text))
    environment = Compose(StackSettings(port_offset=100)).environment()
    assert variables <= set(environment)
    assert environment["NEWSROOM_KAFKA_2_PORT"] == "39192"
    assert environment["COMPOSE_PROJECT_NAME"] == "newsroom-100"
    assert "COMPOSE_PROJECT_NAME" not in Compose(StackSettings()).environment()


def test_every_variable_that_the_file_reads_is_in_the_example_with_its_default() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    read = dict(re.findall(r"(?<!\$)\$\{(\w+):-([^}]*)\}", text))
    example = dict(re.findall(r"^#(\w+)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    del example["COMPOSE_PROJECT_NAME"]  # compose itself reads it
    # connect-standalone shows more by default; the rest is quiet.
    assert example == read | {"NEWSROOM_JVM_LOG_LEVEL": "WARN"}


def test_what_ran_comes_back_and_what_was_stopped_stays_stopped_for_every_container() -> None:
    commands = {"topics", "provision", "connect-standalone"}
    policies = {name: service["restart"] for name, service in COMPOSE["services"].items()}
    assert policies == {name: "no" if name in commands else "unless-stopped" for name in policies}


def test_the_replicas_of_every_scalable_service_have_a_variable() -> None:
    for kind in SERVICES:
        replicas = COMPOSE["services"][kind.name]["deploy"].get("replicas")
        variable = f"NEWSROOM_{kind.name.upper().replace('-', '_')}_REPLICAS"
        assert replicas == (f"${{{variable}:-1}}" if kind.scalable else None)


def test_jvms_warn_only_and_one_variable_turns_them_up() -> None:
    services = COMPOSE["services"]
    for name, variable in (
        *((broker, "NEWSROOM_JVM_LOG_LEVEL") for broker in (*BROKERS, "connect")),
        ("registry", "QUARKUS_LOG_LEVEL"),
        ("kafka-ui", "LOGGING_LEVEL_ROOT"),
    ):
        assert services[name]["environment"][variable] == "${NEWSROOM_JVM_LOG_LEVEL:-WARN}"
    levels = yaml.safe_load((REPOSITORY / "docker/kafka/log4j2.yaml").read_text())["Configuration"]["Loggers"]
    assert levels["Root"]["level"] == "${env:NEWSROOM_JVM_LOG_LEVEL:-WARN}"


def test_the_labs_own_worker_starts_no_other_worker() -> None:
    needs, start = ["connect-standalone"], set()
    while needs:
        name = needs.pop()
        start.add(name)
        needs += set(COMPOSE["services"][name].get("depends_on", {})) - start
    assert "connect" not in start


def test_no_broker_must_be_healthy_for_another_container_to_start() -> None:
    conditions = {
        (name, broker): service["depends_on"][broker]["condition"]
        for name, service in COMPOSE["services"].items()
        for broker in service.get("depends_on", {})
        if broker in BROKERS
    }
    # provision counts the brokers itself: all three for new topics, the replicas that a write needs for others.
    assert conditions == {("topics", broker): "service_started" for broker in BROKERS}
    for name in ("registry", "connect", "connect-standalone", "provision"):
        assert COMPOSE["services"][name]["depends_on"]["topics"]["condition"] == "service_completed_successfully"
    assert COMPOSE["services"]["topics"]["build"]["args"]["SERVICE"] == "provision"


def test_the_line_that_says_what_to_do_comes_when_the_page_is_there() -> None:
    labels = COMPOSE["services"]["lab-labels"]
    assert "open http://localhost:${NEWSROOM_STATUS_PORT:-8000}" in labels["entrypoint"][2]
    assert labels["depends_on"]["status-api"]["condition"] == "service_healthy"


def test_a_full_memory_does_not_swap() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["memswap_limit"] == service["deploy"]["resources"]["limits"]["memory"], name


def test_the_labels_of_an_image_name_our_version_and_licence() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', (REPOSITORY / "Dockerfile").read_text()))
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert labels["revision"] == "${REVISION}"


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ('{"a":{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":0,"state":"RUNNING"}]}}}', 0),
        ("{}", 0),
        ('{"a":{"status":{"connector":{"state":"RUNNING"},"tasks":[{"id":0,"state":"FAILED","trace":"why"}]}}}', 1),
    ],
)
def test_connect_is_healthy_unless_a_task_has_failed(tmp_path: Path, states: str, code: int) -> None:
    fake = tmp_path / "wget"
    fake.write_text(f"#!/bin/sh\ncase \"$*\" in *expand=status*) echo '{states}';; esac\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["bash", REPOSITORY / "docker/kafka/connect-healthy"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert ("why" in done.stdout) == bool(code)


def test_the_end_to_end_tests_have_strings_and_labels_for_themselves() -> None:
    extra = yaml.safe_load((REPOSITORY / "compose.e2e.yml").read_text())["services"]
    assert all(extra[name]["profiles"] == ["demo"] for name in LAB_WRITERS)
    assert all("profiles" not in COMPOSE["services"][name] for name in LAB_WRITERS)


FAKE_DOCKER = """#!/bin/sh
echo "progress one" >&2
echo "$@"
sleep "${PAUSE:-0}"
echo "progress two" >&2
exit "${CODE:-0}"
"""


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    docker = tmp_path / "docker"
    docker.write_text(FAKE_DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Compose(StackSettings())


def test_a_command_shows_its_progress_and_gives_its_output(compose: Compose) -> None:
    shown: list[str] = []
    output = compose.run("ps", seconds=10, show=shown.append)
    assert output == f"compose --project-directory {REPOSITORY} ps\n"
    assert shown == ["progress one", "progress two"]


def test_a_failed_command_is_a_sentence_with_its_last_lines(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE", "14")
    with pytest.raises(StackError, match=r"(?s)'docker compose up' ended with exit code 14:.*progress two"):
        compose.run("up", seconds=10)


def test_a_command_that_hangs_is_ended_at_its_deadline(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAUSE", "60")
    with pytest.raises(StackError, match=r"'docker compose up' did not end within 0\.3 s"):
        compose.run("up", seconds=0.3)


def test_without_docker_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="docker is not installed: install Docker"):
        Compose(StackSettings()).run("ps", seconds=1)


def test_the_status_api_is_told_of_every_other_service() -> None:
    environment = COMPOSE["services"]["status-api"]["environment"]
    addresses = parse_services(environment["NEWSROOM_STATUS_SERVICES"])
    assert {address.name for address in addresses} == {kind.name for kind in SERVICES if kind.scalable}
    assert all((address.host, address.ports) == (address.name, range(8000, 8001)) for address in addresses)
    assert environment["NEWSROOM_STATUS_CONNECT_URL"] == "http://connect:8083"
