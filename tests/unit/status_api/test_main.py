"""The whole process, without a cluster."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import psutil
import pytest

from support.waiting import wait_for

COMMAND = [sys.executable, "-c", "from status_api.__main__ import main; main()"]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - our own address
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


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
