"""/livez, /readyz and /metrics over real HTTP."""

import socket
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from newsroom import health as module
from newsroom.errors import SettingsError
from newsroom.health import Health, HealthServer


def test_ready_only_when_nothing_is_missing() -> None:
    health = Health("group membership")
    with HealthServer(health, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.port}/readyz"
        waiting = httpx.get(url)
        assert waiting.status_code == 503
        assert "group membership" in waiting.text
        health.reached("group membership")
        assert httpx.get(url).status_code == 200
        health.lost("brokers", "all brokers are down")
        assert "all brokers are down" in httpx.get(url).text


def test_alive_only_while_the_loop_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health()
    with HealthServer(health, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.port}/livez"
        assert httpx.get(url).status_code == 200
        monkeypatch.setattr(module, "LOOP_STALL_SECONDS", 0.0)
        assert httpx.get(url).status_code == 503
        monkeypatch.undo()
        health.tick()
        assert httpx.get(url).status_code == 200


def test_a_loop_that_stands_still_is_not_ready_long_before_it_counts_as_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 16)
    assert health.ready() == (False, {"missing": {"loop": "the loop has not turned for 16 s"}})
    assert health.alive()[0]
    health.tick()
    assert health.ready() == (True, {"missing": {}})


def test_metrics_are_prometheus_text_and_other_paths_are_not_found() -> None:
    with HealthServer(Health(), "127.0.0.1", 0) as server:
        text = httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
        assert any(family.name.startswith("python_info") for family in text_string_to_metric_families(text))
        assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code == 404


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}.*--http-port"):
            HealthServer(Health(), "127.0.0.1", port)


def test_a_need_is_lacking_from_the_start_and_from_each_loss_until_it_is_met() -> None:
    health = Health("partitions", "state")
    assert health.lacks("partitions")
    health.reached("partitions")
    assert not health.lacks("partitions")
    health.lost("partitions", "a rebalance")
    health.reached("state")
    assert health.lacks("partitions")
    health.reached("partitions")
    assert not health.lacks("partitions")
