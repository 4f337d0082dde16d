from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from newsroom.streams import cluster as requests
from newsroom.streams.settings import StreamSettings
from support.cluster import MockCluster
from unit.shared.streams.fakes import FakeCluster


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster(StreamSettings(consumer_group="g", state_dir=tmp_path))
    monkeypatch.setattr(requests, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(requests, "AdminClient", lambda _, **__: fake)
    monkeypatch.setattr(requests, "Consumer", fake.consumer)
    return fake


@pytest.fixture
def brokers() -> Iterator[MockCluster]:
    """Mock brokers of librdkafka, for tests that need more than fakes."""
    with closing(MockCluster()) as mock:
        yield mock
