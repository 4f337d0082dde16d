"""Where files lie, in a clone and where the package was installed as a wheel."""

from pathlib import Path

import pytest

import newsroom
from newsroom import places
from newsroom_stack.layout import REPOSITORY


def test_a_clone_uses_its_own_files_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert places.packaged("schemas", "news.avsc") == REPOSITORY / "schemas" / "news.avsc"
    assert places.state_folder("x") == REPOSITORY / ".newsroom" / "data" / "state" / "x"


@pytest.mark.parametrize("variable", ["/var/state", ""])
def test_a_wheel_brings_its_files_and_keeps_state_with_the_user(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setattr(places, "CLONE", None)
    monkeypatch.setenv("XDG_STATE_HOME", variable)
    assert places.packaged("schemas", "news.avsc") == Path(newsroom.__path__[0]) / "files" / "schemas" / "news.avsc"
    base = Path(variable) if variable else Path.home() / ".local" / "state"
    assert places.state_folder("x") == base / "newsroom" / "x"


def test_a_path_is_shown_as_short_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert places.short(tmp_path / "a" / "b") == "a/b"
    assert places.short(Path.home() / "a") == "~/a"
    assert places.short(Path("/a")) == "/a"
