"""How often a client may ask: bursts are taken, a flood is answered with 429, and nobody else pays for it."""

import pytest

from status_api import rates
from status_api.rates import BURST_SECONDS, Rates
from status_api.settings import StatusSettings
from unit.status_api.fakes import Clock, Site, a_snapshot


def test_a_client_may_make_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    limit = Rates(2.0, clock)
    assert [limit.wait("a") for _ in range(int(2 * BURST_SECONDS))] == [0.0] * int(2 * BURST_SECONDS)
    assert limit.wait("a") == pytest.approx(0.5)
    assert limit.wait("b") == 0.0, "another client has its own"
    clock.now += 0.5
    assert limit.wait("a") == 0.0
    assert limit.wait("a") > 0
    clock.now += 3600
    assert [limit.wait("a") > 0 for _ in range(21)] == [False] * 20 + [True], "quiet time does not add up"


def test_the_memory_of_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_CLIENTS", 3)
    limit = Rates(0.1, Clock())
    assert [limit.wait(client) for client in "abcd"] == [0.0] * 4
    assert limit.wait("d") > 0
    assert limit.wait("a") == 0.0, "the oldest was forgotten"


def test_a_flood_is_told_when_to_come_again_and_probes_are_answered() -> None:
    site = Site(settings=StatusSettings(rate=0.5))
    site.store.succeeded(a_snapshot())
    answers = [site.client.get("/api/v1/cluster") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "2"
    assert "0.5 requests a second here (NEWSROOM_STATUS_RATE)" in answers[-1].text
    assert site.client.get("/livez").status_code == site.client.get("/readyz").status_code == 200
    other = site.client.get("/api/v1/cluster", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert other.status_code == 200


def test_no_limit_is_a_setting() -> None:
    site = Site(settings=StatusSettings(rate=0))
    assert {site.client.get("/api/v1/cluster").status_code for _ in range(1200)} == {503}, "no snapshot, and no limit"
