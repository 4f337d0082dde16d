"""Ports, folders and durations of a stack."""

from pathlib import Path

import pytest

from newsroom_stack.errors import StackError
from newsroom_stack.layout import Layout, Ports, load_stack_settings, parse_duration


def all_ports(ports: Ports) -> list[int]:
    return [*ports.brokers, *ports.controllers, ports.registry, ports.registry_health, ports.connect, ports.status]


def test_two_stacks_with_different_offsets_share_no_port() -> None:
    assert not set(all_ports(Ports(0))) & set(all_ports(Ports(100)))


def test_the_documented_addresses() -> None:
    ports = Ports()
    assert ports.bootstrap == "localhost:29092,localhost:39092,localhost:49092"
    assert ports.registry_url == "http://localhost:8081/apis/ccompat/v7"
    assert ports.status_url == "http://localhost:8000"


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("90", 90), ("1.5m", 90), ("2 min", 120), ("1h", 3600), ("500ms", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 days"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(StackError, match="is no duration"):
        parse_duration(text)


def test_a_wrong_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_PORT_OFFSET", "many")
    with pytest.raises(StackError, match="NEWSROOM_PORT_OFFSET='many'"):
        load_stack_settings()


def test_a_home_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StackError, match="NEWSROOM_HOME"):
        Layout(file / "home").make()
