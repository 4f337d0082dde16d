"""The whole process, without a cluster."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from support.waiting import wait_for

HALF_A_HEADER = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-"
NO_BODY = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
NOT_READ = b"GET /static/page.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 600
DEFAULT = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
"""The tests themselves may run below `nohup`, which a service respects."""
COMMAND = [sys.executable, "-c", f"{DEFAULT}; from status_api.__main__ import main; main()"]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - our own address
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of a running service without a cluster."""
    options = ["--http-port", "0", "--bootstrap-servers", "127.0.0.1:1", "--request-timeout", "0.5"]
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        match = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert match is not None
        wait_for("an answer", lambda: get(f"http://127.0.0.1:{match[1]}/livez")[0] == 200, 20)
        yield int(match[1])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("sent", "clients"),
    [(b"", 200), (HALF_A_HEADER, 200), (NO_BODY, 200), (NOT_READ, 20)],
    ids=lambda value: str(value)[:9],
)
def test_many_slow_clients_cost_nobody_an_answer_and_are_let_go(server: int, sent: bytes, clients: int) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.socket()) for _ in range(clients)]
        for client in slow:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server))
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.sendall(sent)
        for _ in range(20):
            with urllib.request.urlopen(f"http://127.0.0.1:{server}/livez", timeout=15) as response:
                assert response.status == 200
        slow[0].settimeout(60)
        while slow[0].recv(65536):
            """Take what is sent until the service closes the connection."""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 90000, 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad name: a\r\n\r\n", 400),
        (b"GET /none HTTP/1.1\r\nHost: localhost\r\nSCRIPT_NAME: /x\r\nConnection: close\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody", 405),
    ],
)
def test_errors_of_the_server_itself_are_problems_too(server: int, request_bytes: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", server), timeout=20) as client:
        client.sendall(request_bytes)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    header, _, body = answer.partition(b"\r\n\r\n")
    assert header.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in header
    assert json.loads(body)["status"] == status


def test_requests_that_come_together_are_answered_in_turn(server: int) -> None:
    with socket.create_connection(("127.0.0.1", server), timeout=20) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
        client.sendall(b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"200", b"404"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_without_a_cluster_it_lives_is_not_ready_says_why_and_ends_cleanly(number: signal.Signals) -> None:
    options = ["--http-port", "0", "--bootstrap-servers", "127.0.0.1:1", "--request-timeout", "0.5"]
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        match = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert match is not None
        url = match.group()
        assert get(f"{url}/livez")[0] == 200
        assert get(f"{url}/readyz")[0] == 503
        wait_for("the reason", lambda: "no broker of 127.0.0.1:1" in get(f"{url}/api/v1/cluster")[1], 10)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stdout.read()
    finally:
        process.kill()
        process.communicate()


def test_a_worker_that_is_killed_is_said_without_a_guess_and_replaced() -> None:
    options = ["--http-port", "0", "--bootstrap-servers", "127.0.0.1:1", "--request-timeout", "0.5"]
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        match = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert match is not None
        wait_for("the worker", lambda: get(f"{match.group()}/livez")[0] == 200, 20)
        (worker,) = psutil.Process(process.pid).children()
        worker.kill()
        worker.wait(10)
        wait_for("the next worker", lambda: get(f"{match.group()}/livez")[0] == 200, 20)
        process.terminate()
        assert process.wait(10) == 0
        output = process.stdout.read()
    finally:
        process.kill()
        process.communicate()
    assert (
        f"[warning] gunicorn.error: the process that serves the page (pid {worker.pid}) was ended by SIGKILL" in output
    )
    assert "memory" not in output
    assert "[error]" not in output


def test_a_taken_port_ends_with_a_clear_error_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        finished = subprocess.run(
            [*COMMAND, "--http-port", port], capture_output=True, text=True, timeout=20, check=False
        )
    assert finished.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in finished.stdout
    assert "Traceback" not in finished.stdout + finished.stderr


def test_missing_certificates_end_with_a_clear_error_before_anything_starts() -> None:
    options = ["--http-port", "0", "--security-protocol", "SSL", "--ssl-ca-location", "/nowhere/ca.pem"]
    finished = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert "--ssl-ca-location /nowhere/ca.pem: cannot be read" in finished.stderr
    assert "Traceback" not in finished.stdout + finished.stderr


def test_the_log_names_the_address_that_a_browser_reaches() -> None:
    options = ["--http-port", "0", "--bootstrap-servers", "127.0.0.1:1", "--public-url", "http://localhost:8200"]
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "address=http://localhost:8200" in process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
