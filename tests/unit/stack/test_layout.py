"""Ports, folders and durations of a stack."""

from pathlib import Path

import pytest

from newsroom_stack.catalogue import MAX_REPLICAS, SERVICES
from newsroom_stack.cli.duration import parse_duration
from newsroom_stack.errors import StackError
from newsroom_stack.layout import Layout
from newsroom_stack.ports import SECOND_OFFSET, Ports
from newsroom_stack.settings import load_stack_settings


def all_ports(offset: int) -> set[int]:
    ports = Ports(offset)
    replicas = {
        ports.service(kind.first_port, number)
        for kind in SERVICES
        for number in range(1, (MAX_REPLICAS if kind.scalable else 1) + 1)
    }
    singles = {ports.registry, ports.registry_health, ports.connect, ports.ui}
    return replicas | singles | {*ports.brokers, *ports.controllers}


def test_the_advised_offset_moves_every_port_of_every_replica_out_of_the_way() -> None:
    assert not all_ports(0) & all_ports(SECOND_OFFSET)
    assert not all_ports(SECOND_OFFSET) & all_ports(2 * SECOND_OFFSET)


def test_what_a_stack_keeps_is_deleted_and_what_others_keep_there_is_not(tmp_path: Path) -> None:
    ours, shared = Layout(tmp_path / "ours"), Layout(tmp_path / "shared")
    for layout in (ours, shared):
        layout.make()
        layout.log("a").write_text("said")
    (shared.home / "thesis.txt").write_text("years of work")
    ours.delete()
    ours.delete()  # what is not there is no error
    shared.delete()
    assert not ours.home.exists()
    assert [path.name for path in shared.home.rglob("*")] == ["thesis.txt"]


def test_what_cannot_be_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    layout = Layout(tmp_path)
    layout.make()
    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(StackError, match=f"{layout.data} cannot be deleted .Permission denied."):
        layout.delete()


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
def test_a_text_that_is_not_a_duration_is_named(text: str) -> None:
    with pytest.raises(StackError, match="is not a duration"):
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
