"""The start of the word count: it needs a registry before it reads anything."""

import threading
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from newsroom.errors import RegistryUnavailable, SettingsError
from newsroom.waiting import StopFlag, Stopped
from support.quix import LETTERS
from wordcount_stream import main as service
from wordcount_stream import topology
from wordcount_stream.settings import WordcountSettings

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The applications to which the dataframes were added, without running one."""
    applications: list[Any] = []
    monkeypatch.setattr(topology, "build", lambda app, *_, **__: applications.append(app))
    app = SimpleNamespace(after_commit=None)
    monkeypatch.setattr(service, "run_stream", lambda *_, build, **__: build(app, LETTERS))
    return applications


def settings(folder: Path, **changes: Any) -> WordcountSettings:  # noqa: ANN401
    return WordcountSettings(state_dir=folder, **changes)


def test_it_starts_when_the_registry_answers(tmp_path: Path, built: list[Any]) -> None:
    service.run(settings(tmp_path, registry_url=f"mock://{uuid.uuid4()}"), StopFlag())
    assert len(built) == 1


def test_a_wrong_registry_address_is_found_out_before_a_record_is_read(tmp_path: Path, built: list[Any]) -> None:
    with pytest.raises(RegistryUnavailable, match=r"no schema for topic news within 0\.2 s: .*does not answer"):
        service.run(settings(tmp_path, registry_url=NOBODY, registry_timeout=0.2), StopFlag())
    with pytest.raises(SettingsError, match="is not an address"):
        service.run(settings(tmp_path, registry_url="localhost:8081"), StopFlag())
    assert built == []


def test_a_signal_ends_the_wait_for_the_registry(tmp_path: Path, built: list[Any]) -> None:
    stop = StopFlag()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Stopped):
        service.run(settings(tmp_path, registry_url=NOBODY), stop)
    assert built == []
