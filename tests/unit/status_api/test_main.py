"""The whole process, without a cluster."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

COMMAND = [sys.executable, "-c", "from status_api.main import main; main()"]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - our own address
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_without_a_cluster_it_lives_is_not_ready_says_why_and_ends_cleanly() -> None:
    options = ["--http-port", "0", "--bootstrap-servers", "127.0.0.1:1", "--request-timeout", "0.5"]
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        url = found.group()
        assert get(f"{url}/livez")[0] == 200
        assert get(f"{url}/readyz")[0] == 503
        end = time.monotonic() + 10
        while "no broker of 127.0.0.1:1" not in (body := get(f"{url}/api/v1/cluster")[1]):
            assert time.monotonic() < end, body
        assert json.loads(body)["status"] == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stdout.read()
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_is_a_sentence_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--http-port", port], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_certificates_that_are_not_there_are_a_sentence_before_anything_starts() -> None:
    options = ["--http-port", "0", "--security-protocol", "SSL", "--ssl-ca-location", "/nowhere/ca.pem"]
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--ssl-ca-location (or NEWSROOM_SSL_CA_LOCATION): cannot be read" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
