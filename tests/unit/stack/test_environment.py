"""Which variables of the user's shell reach the services of the stack."""

from pathlib import Path
from typing import cast

import pytest

from avro_consumer.settings import AvroConsumerSettings
from newsroom.settings import KafkaSettings, load_settings
from newsroom_stack.environment import OWN_VARIABLES, environment_notes, services_environment
from newsroom_stack.jvm.artifacts import Artifacts
from newsroom_stack.ports import Ports
from newsroom_stack.processes.plan import Plan
from newsroom_stack.settings import StackSettings
from status_api.surroundings import parse_services
from support.services import SERVICES


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that points at somebody else's cluster."""
    variables = {
        "NEWSROOM_SECURITY_PROTOCOL": "SSL",
        "NEWSROOM_CONSUMER_BOOTSTRAP_SERVERS": "elsewhere:9092",
        "NEWSROOM_STATUS_HTTP_PORT": "9",
        "NEWSROOM_PRODUCER_RATE": "100",
        "NEWSROOM_LOG_FORMAT": "json",
        "NEWSROOM_JOIN_COMMIT_INTERVAL": "",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_every_connection_variable_is_the_stacks_own() -> None:
    environment = services_environment(Ports(200))
    assert environment["NEWSROOM_BOOTSTRAP_SERVERS"] == Ports(200).bootstrap
    assert environment["NEWSROOM_REGISTRY_URL"] == Ports(200).registry_url
    assert OWN_VARIABLES & set(environment) == {"NEWSROOM_BOOTSTRAP_SERVERS", "NEWSROOM_REGISTRY_URL"}
    for settings in SERVICES:
        prefix = settings.model_config["env_prefix"]
        assert {f"{prefix}{name.upper()}" for name in KafkaSettings.model_fields} <= OWN_VARIABLES


def test_other_settings_reach_the_services_before_the_stacks_defaults(tmp_path: Path) -> None:
    plan = Plan(StackSettings(home=tmp_path, news_rate=3), cast("Artifacts", None))
    producer = plan.service("news-producer", 1).launch
    assert producer.argv[1:] == ()
    assert (producer.env["NEWSROOM_PRODUCER_RATE"], producer.env["NEWSROOM_LOG_FORMAT"]) == ("100", "json")
    assert "NEWSROOM_JOIN_COMMIT_INTERVAL" not in producer.env, "an empty variable is not set"


def test_without_the_users_settings_the_stack_has_its_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_PRODUCER_RATE", "")
    plan = Plan(StackSettings(home=tmp_path, news_rate=3), cast("Artifacts", None))
    environment = plan.service("avro-consumer", 2).launch.env
    assert environment["NEWSROOM_PRODUCER_RATE"] == "3"
    assert environment["NEWSROOM_CONSUMER_SINK"] == str(plan.layout.consumed)
    assert environment["NEWSROOM_HTTP_PORT"] == "8111"


def test_with_exactly_once_the_consumer_gets_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(StackSettings(home=tmp_path, news_rate=3), cast("Artifacts", None))
    monkeypatch.setenv("NEWSROOM_CONSUMER_DELIVERY", "exactly-once")
    environment = plan.service("avro-consumer", 1).launch.env
    assert "NEWSROOM_CONSUMER_SINK" not in environment
    assert environment["NEWSROOM_STATE_DIR"] == str(plan.layout.state("avro-consumer")), "its SQLite file is there"
    # The consumer itself takes this environment.
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(AvroConsumerSettings, "avro-consumer", [])
    assert (settings.delivery, settings.sink) == ("exactly-once", None)
    monkeypatch.setenv("NEWSROOM_CONSUMER_DELIVERY", "at-most-once")
    assert "NEWSROOM_CONSUMER_SINK" in plan.service("avro-consumer", 1).launch.env


def test_up_says_what_it_takes_from_the_shell_and_what_not() -> None:
    assert environment_notes() == [
        "taken from the environment: NEWSROOM_LOG_FORMAT, NEWSROOM_PRODUCER_RATE",
        (
            "not taken from the environment, because the stack has its own cluster and addresses: "
            "NEWSROOM_CONSUMER_BOOTSTRAP_SERVERS, NEWSROOM_SECURITY_PROTOCOL, NEWSROOM_STATUS_HTTP_PORT"
        ),
    ]


def test_the_status_api_is_told_of_connect_and_of_every_possible_replica(tmp_path: Path) -> None:
    plan = Plan(StackSettings(home=tmp_path, port_offset=200), cast("Artifacts", None))
    environment = plan.service("status-api", 1).launch.env
    assert environment["NEWSROOM_STATUS_CONNECT_URL"] == "http://127.0.0.1:8283"
    assert "join-service=http://127.0.0.1:8330-8339" in environment["NEWSROOM_STATUS_SERVICES"].split(",")
    assert len(parse_services(environment["NEWSROOM_STATUS_SERVICES"])) == 4
    assert "NEWSROOM_STATUS_SERVICES" not in plan.service("join-service", 1).launch.env
