"""What a broker must have before it counts as ready: answers at the clients' boundary."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from newsroom.admin import quorum
from newsroom.admin.quorum import Quorum
from newsroom.errors import ClusterUnavailable
from newsroom.settings import KafkaSettings
from newsroom_stack import probes
from newsroom_stack.processes.plan import no_proxy_for_loopback
from support.futures import done
from support.web import Web

ADDRESS = "localhost:29092"


class FakeCluster:
    """A broker's metadata and the quorum; the metadata names a controller whatever happens, as KRaft's does."""

    def __init__(self) -> None:
        self.brokers = 3
        self.silent = False
        self.leaderless: str | None = None
        self.asked: list[str] = []

    def admin(self, config: dict[str, Any]) -> FakeCluster:
        assert config["bootstrap.servers"] == ADDRESS
        return self

    def describe_cluster(self, **_: object) -> Future[Any]:
        nodes = [SimpleNamespace(id=number) for number in range(1, self.brokers + 1)]
        answer = SimpleNamespace(nodes=nodes, controller=nodes[0])
        return done(KafkaException(KafkaError(KafkaError._TRANSPORT)) if self.silent else answer)

    def describe_quorum(self, settings: KafkaSettings, seconds: float) -> Quorum:
        assert 0 < seconds <= probes.PROBE_SECONDS
        assert settings.security_protocol == "PLAINTEXT"
        self.asked.append(settings.bootstrap_servers)
        if self.leaderless is not None:
            raise ClusterUnavailable(self.leaderless)
        return Quorum(2, 1)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    found = FakeCluster()
    monkeypatch.setattr(probes, "AdminClient", found.admin)
    monkeypatch.setattr(quorum, "describe_quorum", found.describe_quorum)
    return found


def test_all_brokers_and_a_quorum_with_a_leader_are_ready(cluster: FakeCluster) -> None:
    assert probes.Probe("broker", ADDRESS).missing() is None
    assert cluster.asked == [ADDRESS]


def test_a_quorum_without_a_leader_is_not_ready_whatever_the_metadata_says(cluster: FakeCluster) -> None:
    cluster.leaderless = f"{ADDRESS} named no controller: no answer within 2 s"
    assert probes.broker_ready(ADDRESS) == cluster.leaderless


def test_the_quorum_is_asked_only_once_all_brokers_are_there(cluster: FakeCluster) -> None:
    cluster.brokers = 2
    assert probes.broker_ready(ADDRESS) == f"{ADDRESS} sees 2 of 3 brokers"
    cluster.silent = True
    assert f"{ADDRESS} gives no metadata" in str(probes.broker_ready(ADDRESS))
    assert cluster.asked == []


def test_a_proxy_is_no_way_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Web(lambda request: request.reply(200)) as server:
        assert probes.http_ready(f"http://localhost:{server.server_port}") is None
    assert no_proxy_for_loopback() == {"NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"}
    monkeypatch.setenv("NO_PROXY", "example.org")
    assert no_proxy_for_loopback()["no_proxy"] == "example.org,localhost,127.0.0.1"


def test_settings_of_another_cluster_do_not_matter(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_SASL_MECHANISM", "GSSAPI")
    monkeypatch.setenv("NEWSROOM_SECURITY_PROTOCOL", "SASL_SSL")
    assert probes.broker_ready(ADDRESS) is None
    assert cluster.asked == [ADDRESS]
