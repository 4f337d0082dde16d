"""Which cluster `newsroom --docker groups|dlq|peek|replay` talk to: the brokers that the containers publish."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from newsroom_stack.cli.app import main
from newsroom_stack.cli.replay import own_stack
from newsroom_stack.cluster import connection
from newsroom_stack.cluster.connection import load_connection
from newsroom_stack.containers.compose import Compose
from newsroom_stack.containers.stack import ContainerStack
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.settings import load_stack_settings

BROKERS = "localhost:29292,localhost:39292,localhost:49292"


@pytest.fixture(autouse=True)
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_HOME", str(tmp_path))
    monkeypatch.setenv("NEWSROOM_PORT_OFFSET", "200")
    monkeypatch.setenv("NEWSROOM_DOCKER", "1")
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.1)


def test_the_containers_publish_their_brokers_where_the_commands_connect() -> None:
    ports = Compose(load_stack_settings()).environment()
    services: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    published = []
    for number in (1, 2, 3):
        variable = f"NEWSROOM_KAFKA_{number}_PORT"
        assert f"localhost:${{{variable}:-" in services[f"kafka-{number}"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        published.append(f"localhost:{ports[variable]}")
    assert load_connection().bootstrap_servers == ",".join(published) == BROKERS


@pytest.mark.parametrize(
    "words", ["groups list", "dlq list", "dlq replay", "peek news", "label a b", "replay wordcount-stream"]
)
def test_each_command_names_the_brokers_that_it_asks(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--docker", *words.split()]) == 1
    assert f"no broker answers at {BROKERS} within" in capsys.readouterr().err


def test_a_rebuild_stops_the_replicas_of_the_containers_only_at_their_own_brokers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ContainerStack, "running", lambda _: True)
    assert isinstance(own_stack(load_connection().bootstrap_servers), ContainerStack)
    monkeypatch.setenv("NEWSROOM_BOOTSTRAP_SERVERS", "kafka.example:9092")
    assert own_stack(load_connection().bootstrap_servers) is None
