"""The gate before the registry, with a real server behind it."""

import socket
import time
from contextlib import closing

import httpx
import pytest

from newsroom_lab.write import gate as gate_module
from newsroom_lab.write.gate import Gate
from support.web import Web

LONG = b"x" * 300_000


def test_a_gate_resets_connections_until_it_is_opened_and_then_passes_everything_on() -> None:
    with Web(lambda request: request.reply(200, LONG)) as web, closing(Gate(f"{web.url}/apis")) as gate:
        for number in (1, 2):
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"{gate.url}/subjects")
            assert (gate.refused, web.paths) == (number, [])
        gate.is_open.set()
        with httpx.Client(base_url=gate.url) as client:
            assert client.get("/subjects").content == LONG
            assert client.post("/subjects", content=LONG).status_code == 200
        assert (gate.refused, web.paths) == (2, ["/apis/subjects", "/apis/subjects"])


def test_a_gate_that_is_closed_for_good_refuses_connections() -> None:
    with Web(lambda request: request.reply(200)) as web:
        gate = Gate(web.url)
        gate.close()
        with pytest.raises(httpx.ConnectError):
            httpx.get(gate.url)


def test_a_gate_before_a_server_that_is_gone_ends_the_connection() -> None:
    with closing(Gate("http://127.0.0.1:9")) as gate:
        gate.is_open.set()
        with pytest.raises(httpx.HTTPError):
            httpx.get(gate.url)


def test_a_connection_that_was_idle_for_long_still_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        with closing(Gate(f"http://127.0.0.1:{server.getsockname()[1]}")) as gate:
            gate.is_open.set()
            with (
                socket.create_connection(("127.0.0.1", gate.server_address[1]), 5) as client,
                server.accept()[0] as behind,
            ):
                time.sleep(0.5)  # longer than a connection may take to be made
                behind.sendall(b"answer")
                assert client.recv(6) == b"answer"
