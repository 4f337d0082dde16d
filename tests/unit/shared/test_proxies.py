"""The proxy of the environment: what is asked through it, and that it is never asked for the loopback."""

import os
from pathlib import Path

import httpx
import pytest

from newsroom.lifecycle import run_service
from newsroom.proxies import ask_no_proxy_for_loopback, proxy_of, without_login
from newsroom.settings import ServiceSettings
from newsroom.waiting import StopFlag
from support.web import Web

LOOPBACK = ["http://localhost:1", "http://LOCALHOST:1", "http://127.0.0.1:1/x", "http://[::1]:1", "https://127.1.2.3"]


@pytest.fixture(autouse=True)
def company(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a company: a proxy for everything."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # restores it afterwards
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://me:secret@proxy.example.org:3128")


def used_proxy(url: str) -> bool:
    """Whether the HTTP client that the services use would ask the proxy."""
    with httpx.Client() as client:
        return client._transport_for_url(httpx.URL(url)) is not client._transport


@pytest.mark.parametrize("url", LOOPBACK)
def test_the_loopback_is_never_asked_through_it(url: str) -> None:
    assert proxy_of(url) == "http://proxy.example.org:3128"
    assert used_proxy(url)
    ask_no_proxy_for_loopback("registry_url='https://127.1.2.3:8081'")
    assert proxy_of(url) is None
    assert not used_proxy(url)


@pytest.mark.parametrize(
    "url", ["http://registry:8081", "https://10.0.0.1", "http://127.example.org", "http://1.127.0.0"]
)
def test_other_hosts_are(url: str) -> None:
    ask_no_proxy_for_loopback(url)
    assert proxy_of(url) == "http://proxy.example.org:3128"
    assert used_proxy(url)


def test_the_users_own_exceptions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org, 10.0.0.1")
    ask_no_proxy_for_loopback()
    ask_no_proxy_for_loopback()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "example.org,10.0.0.1,localhost,127.0.0.1,::1"
    monkeypatch.setenv("no_proxy", "*")
    ask_no_proxy_for_loopback()
    assert os.environ["no_proxy"] == "*"
    assert proxy_of("http://registry:8081") is None


def test_a_service_asks_its_own_machine_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["service", "--registry-url", "http://127.9.9.9:1,http://localhost:2"])
    assert run_service("test-service", ServiceSettings, f"{__name__}:ask_itself") == 0


def ask_itself(_: ServiceSettings, __: StopFlag) -> None:
    assert proxy_of("http://127.9.9.9:1") is None
    with Web(lambda request: request.reply(200)) as web:
        assert httpx.get(web.url).status_code == 200


def test_no_login_is_shown() -> None:
    assert without_login("http://me:p@ss@host:1/a@b, https://x:y@z") == "http://host:1/a@b, https://z"
    assert without_login(str(Path("/a//b"))) == "/a/b"
