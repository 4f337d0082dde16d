"""What each service imports before it connects to Kafka: what takes long to import must wait until then."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

HEAVY = {"httpx", "requests", "joserfc", "quixstreams", "feedparser", "rich", "pygments"}
SERVICES = ("news_producer", "avro_consumer", "wordcount_stream", "join_service", "status_api", "provision")
SECONDS = 60.0


def imported(importtime: str) -> set[str]:
    """The top-level packages in what Python writes with `-X importtime`."""
    names = {line.rpartition("|")[2].strip() for line in importtime.splitlines() if line.startswith("import time:")}
    assert {"newsroom.settings", "confluent_kafka"} <= names
    # A package that is hidden has a line of its own, without modules.
    return {name.partition(".")[0] for name in names if "." in name}


@pytest.mark.parametrize("package", SERVICES)
def test_what_takes_long_to_import_waits_for_the_first_connection(package: str, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as broker, (tmp_path / "err").open("wb") as errors:
        broker.settimeout(SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", package],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("NEWSROOM_")},
                "NEWSROOM_BOOTSTRAP_SERVERS": f"127.0.0.1:{broker.getsockname()[1]}",
                "NEWSROOM_REGISTRY_URL": "mock://nobody",
                "NEWSROOM_HTTP_PORT": "0",
                "NEWSROOM_STATE_DIR": str(tmp_path),
            },
        )
        try:
            connection, _ = broker.accept()
            with connection:
                packages = imported((tmp_path / "err").read_text())
        finally:
            process.terminate()
            process.wait(SECONDS)
    assert packages & HEAVY == set()


def modules_after(statements: str) -> set[str]:
    """The modules that are loaded after some statements."""
    program = f"import sys, newsroom.lifecycle, newsroom.lean; newsroom.lean.leave_out_extras(); {statements}"
    command = [sys.executable, "-c", f"{program}; print(*(name for name, module in sys.modules.items() if module))"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout.split())


def test_the_status_api_connects_before_it_loads_flask_and_kafka_python() -> None:
    assert not {"flask", "kafka"} & modules_after("import status_api.main")


def test_the_client_of_the_registry_comes_without_oauth_and_command_line() -> None:
    modules = modules_after("import newsroom.schemas.registry")
    assert "confluent_kafka.schema_registry" in modules
    assert not {"authlib", "joserfc", "click", "httpx._main"} & modules


def test_oauth_is_there_for_whoever_asks_for_it() -> None:
    statements = "import newsroom.schemas.registry as registry, warnings; warnings.simplefilter('ignore')"
    made = (
        "from confluent_kafka.schema_registry._sync import schema_registry_client as client; client.OAuth2Client('me')"
    )
    assert {"authlib", "joserfc"} <= modules_after(f"{statements}; {made}")
