"""What every service writes while no broker answers: whole lines of its own log, and none that calls for help."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.waiting import wait_for

SERVICES = ("news_producer", "avro_consumer", "wordcount_stream", "join_service", "status_api", "provision")

JOB = "provision"
"""Its exit code says that it is not done."""

NOBODY = "127.0.0.1:1"
SAID = ("no broker", "brokers are down", "brokers running")
"""What each of them says, in its own words."""


class Service:
    """A service that runs, and what it has written so far."""

    def __init__(self, package: str, folder: Path, resources: ExitStack) -> None:
        self.package = package
        self._files = {name: folder / f"{package}.{name}" for name in ("out", "err")}
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NEWSROOM_")},
            "NEWSROOM_BOOTSTRAP_SERVERS": NOBODY,
            "NEWSROOM_REGISTRY_URL": "mock://nobody",
            "NEWSROOM_LOG_FORMAT": "json",
            "NEWSROOM_HTTP_PORT": "0",
            "NEWSROOM_STATE_DIR": str(folder / package),
        }
        out, err = (resources.enter_context(path.open("wb")) for path in self._files.values())
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", package],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment,
            cwd=folder,
        )
        resources.callback(self._end)

    def _end(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def written(self) -> tuple[list[str], str]:
        """The lines on standard output, and all of standard error."""
        return self._files["out"].read_text().splitlines(), self._files["err"].read_text()

    def says_so(self) -> bool:
        """Whether it has said that no broker answers."""
        return any(words in line for line in self.written()[0] for words in SAID)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[Service]]:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test that runs below `nohup` would hand down that it is ignored
    with ExitStack() as resources:
        yield [Service(package, tmp_path, resources) for package in SERVICES]


def test_every_line_is_of_the_log_and_none_is_an_error_until_the_terminal_is_closed(services: list[Service]) -> None:
    for service in services:
        wait_for(f"{service.package} says that no broker answers", service.says_so)
    for service in services:
        lines, errors = service.written()
        assert errors == "", service.package
        levels = {json.loads(line)["level"] for line in lines}
        assert levels <= {"info", "warning"}, (service.package, lines)
    for service in services:
        service.process.send_signal(signal.SIGHUP)
    for service in services:
        assert service.process.wait(20) == (1 if service.package == JOB else 0), service.written()
        assert service.written()[1] == "", service.package
