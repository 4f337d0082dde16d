from pathlib import Path

import pytest

from newsroom.streams import cluster as requests
from newsroom.streams import topics
from newsroom.streams.settings import StreamSettings
from unit.shared.streams.fakes import FakeCluster


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster(StreamSettings(consumer_group="g", state_dir=tmp_path))
    for module in (requests, topics):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(requests, "AdminClient", lambda _, **__: fake)
    monkeypatch.setattr(requests, "Consumer", fake.consumer)
    return fake
