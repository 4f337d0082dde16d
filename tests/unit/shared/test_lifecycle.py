"""How a service ends: exit codes, and the line that says why."""

import ast
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from newsroom.errors import ClusterUnavailable, SettingsError
from newsroom.lifecycle import UNFORESEEN, run_service
from newsroom.settings import ServiceSettings
from newsroom.waiting import StopFlag, Stopped


@pytest.fixture(autouse=True)
def _argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["service", "--log-format", "json"])


failure: list[Exception] = []


def fail(_: ServiceSettings, __: StopFlag) -> NoReturn:
    raise failure.pop()


def ends_with(error: Exception, capsys: pytest.CaptureFixture[str], **options: int) -> tuple[int, dict[str, object]]:
    failure[:] = [error]
    code = run_service("test-service", ServiceSettings, f"{__name__}:fail", **options)
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_an_errors_fields_stand_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ends_with(ClusterUnavailable("no broker answers", topic="news", partition=3), capsys)
    assert code == 1
    assert (line["event"], line["error"]) == ("no broker answers", "ClusterUnavailable")
    assert (line["topic"], line["partition"], line["logger"]) == ("news", 3, "newsroom.lifecycle")
    assert ends_with(SettingsError("no such file"), capsys)[0] == 2


def test_what_nobody_foresaw_is_logged_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ends_with(ZeroDivisionError("odd"), capsys)
    assert code == UNFORESEEN
    assert "ZeroDivisionError" in json.dumps(line["exception"])
    assert (line["level"], line["service"]) == ("error", "test-service")


def test_a_signal_during_a_wait_is_no_error_unless_the_job_is_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ends_with(Stopped("no broker answers"), capsys)
    assert (code, line["level"], line["missing"]) == (0, "warning", "no broker answers")
    assert ends_with(Stopped("x"), capsys, stopped_code=1)[0] == 1


@pytest.mark.parametrize(
    "package", ["news_producer", "avro_consumer", "wordcount_stream", "join_service", "status_api", "provision"]
)
def test_help_loads_no_client_library(package: str) -> None:
    code = (
        f"import sys; sys.argv[1:] = ['--help']; from {package}.__main__ import main\n"
        "try: main()\n"
        "finally: print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = ast.literal_eval(done.stdout.splitlines()[-1])
    assert "Usage:" in done.stdout
    assert {"confluent_kafka", "kafka", "quixstreams", "flask", "fastavro", "httpx"} & set(modules) == set()


def test_a_terminal_that_lacks_a_character_gets_its_escape() -> None:
    code = "import sys; sys.argv[1:] = ['--help']; from provision.__main__ import main; main()"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout[:31]) == (0, b"Usage: provision [OPTION\\u2026]"), done.stderr


@pytest.mark.parametrize(
    "body",
    [
        *("news_producer.main:run", "avro_consumer.main:serve", "wordcount_stream.main:run"),
        *("join_service.main:run", "status_api.main:run", "provision.main:serve"),
    ],
)
def test_the_body_of_each_service_is_where_its_entry_point_says(body: str) -> None:
    entry = importlib.import_module(f"{body.partition('.')[0]}.__main__")
    assert f'"{body}"' in Path(str(entry.__file__)).read_text(encoding="utf-8")
    assert callable(pkgutil.resolve_name(body))
