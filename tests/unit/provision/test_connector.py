"""How provision creates the connector: against a Connect that is a function."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from newsroom.errors import SettingsError
from newsroom.settings import load_settings
from newsroom.waiting import Deadline, StopFlag, Stopped, Wait
from newsroom_stack.layout import REPOSITORY
from provision import connector
from provision.connector import ConnectWorker, connect_client
from provision.errors import ConnectorFailed, ConnectorRefused, ConnectUnavailable
from provision.main import serve
from provision.properties import read_connector
from provision.settings import ProvisionSettings

SINK = REPOSITORY / "kafka-connect-configs" / "connect-file-sink.properties"
NAME = "local-file-sink"
URL = "http://connect:8083"


class Connect:
    """Answers as Connect does; `before` answers are given first, in their order."""

    def __init__(self, *before: httpx.Response | Exception) -> None:
        self.before = list(before)
        self.configs: list[dict[str, str]] = []
        self.restarts = 0
        self.status: dict[str, Any] = {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "RUNNING"}]}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.before:
            answer = self.before.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.method == "PUT":
            assert request.url.path == f"/connectors/{NAME}/config"
            self.configs.append(json.loads(request.content))
            return httpx.Response(201)
        if request.method == "POST":
            assert str(request.url) == f"{URL}/connectors/{NAME}/restart?includeTasks=true"
            self.restarts += 1
            self.status["connector"]["state"] = "RUNNING"
            return httpx.Response(202)
        if request.url.path == f"/connectors/{NAME}/config":
            return httpx.Response(200, json=self.configs[-1]) if self.configs else httpx.Response(404)
        assert request.url.path == f"/connectors/{NAME}/status"
        return httpx.Response(200, json=self.status)


def worker(
    answer: Callable[[httpx.Request], httpx.Response],
    seconds: float = 5,
    stop: StopFlag | None = None,
    *,
    update: bool = False,
) -> ConnectWorker:
    client = httpx.Client(base_url=URL, transport=httpx.MockTransport(answer))
    return ConnectWorker(client, Wait(Deadline(seconds), stop or StopFlag(), longest_pause=0.05), update=update)


def test_the_labs_file_is_read_with_its_references() -> None:
    sink = read_connector(SINK)
    assert sink == {
        "name": NAME,
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1",
        "topics": "mytopic",
        "file": "${env:NEWSROOM_SINK_FILE}",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name=a\nno equals", "line 2: write name=value on one line, got 'no equals'"),
        ("name=a\\\nb", "line 1: write name=value on one line"),
        ("=x", "line 1"),
        ("# nothing\n! here\n\n", r"has no name="),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "sink.properties"
    file.write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        read_connector(file)


def test_a_missing_file_is_said_before_any_wait() -> None:
    settings = ProvisionSettings(connect_url=URL, connector_path=Path("/nowhere"), registry=False)
    with pytest.raises(SettingsError, match="/nowhere cannot be read"):
        serve(settings, StopFlag())


def test_a_missing_connector_gets_its_whole_file_and_one_that_is_there_keeps_its_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect, sink = Connect(), read_connector(SINK)
    assert [worker(connect).provide(sink) for _ in range(2)] == [1, 1]
    assert connect.configs == [sink]
    changed = {**sink, "tasks.max": "2"}
    connect.configs[-1] = changed
    assert worker(connect).provide(sink) == 1
    assert connect.configs == [changed]
    assert "tasks.max is 2 (file: 1)" in capsys.readouterr().out


def test_the_connector_takes_its_file_when_the_job_is_told_to() -> None:
    connect, sink = Connect(), read_connector(SINK)
    connect.configs.append({**sink, "topics": "other"})
    assert worker(connect, update=True).provide(sink) == 1
    assert connect.configs[1:] == [sink]
    assert worker(connect, update=True).provide(sink) == 1
    assert connect.configs[1:] == [sink]


def test_a_state_that_does_not_change_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "STALE_SECONDS", 0.3)
    connect = Connect()
    connect.status["connector"]["state"] = "UNASSIGNED"
    assert worker(connect).provide(read_connector(SINK)) == 1
    assert connect.restarts == 1


def test_a_task_that_failed_is_not_started_again_and_ends_the_job_with_its_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connector, "STALE_SECONDS", 0.0)
    monkeypatch.setattr(connector, "FAILED_SECONDS", 0.2)
    connect = Connect()
    connect.status["tasks"][0] |= {"state": "FAILED", "trace": "java.io.IOException: no space\n\tat X"}
    with pytest.raises(
        ConnectorFailed, match=rf"{NAME}: task 0 is FAILED \(java.io.IOException: no space\); correct .* curl -X POST"
    ):
        worker(connect, seconds=60).provide(read_connector(SINK))
    assert connect.restarts == 0


def test_a_connect_that_starts_or_rebalances_is_asked_again() -> None:
    connect = Connect(
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
        httpx.Response(200, text="<html>a proxy's page</html>"),
        httpx.Response(503, text="starting"),
        httpx.Response(503, text="starting"),
        httpx.Response(404, text="no path is there yet"),
        httpx.Response(404, text="no path is there yet"),
        httpx.Response(404, json={"message": "Connector not found"}),
        httpx.Response(409, json={"message": "rebalance in process"}),
        httpx.Response(404, json={"message": "Connector not found"}),
        httpx.Response(201),
        httpx.Response(404, json={"message": "No status found"}),
    )
    assert worker(connect).provide(read_connector(SINK)) == 1


def test_a_refused_configuration_ends_at_once_with_the_workers_words() -> None:
    unknown = httpx.Response(404, json={"message": "Connector not found"})
    connect = Connect(
        unknown, httpx.Response(400, json={"error_code": 400, "message": "Connector config is invalid:\n topics"})
    )
    with pytest.raises(ConnectorRefused, match=rf"{URL} refuses connector {NAME} \(400\): .* is invalid: topics"):
        worker(connect).provide(read_connector(SINK))


def test_a_connect_that_does_not_answer_ends_at_the_deadline() -> None:
    with connect_client("http://127.0.0.1:9") as client:
        absent = ConnectWorker(client, Wait(Deadline(0)))
        with pytest.raises(ConnectUnavailable, match=r"127\.0\.0\.1:9 is not ready after 0 s: it does not answer"):
            absent.provide(read_connector(SINK))


@pytest.mark.parametrize(
    ("tasks", "sentence"),
    [
        ([], "no task yet"),
        (
            [{"id": 0, "state": "FAILED", "trace": "java.nio.AccessDeniedException: /x\n\tat y"}],
            r"task 0 is FAILED \(",
        ),
    ],
)
def test_a_connector_that_does_not_run_ends_at_the_deadline_with_the_reason(tasks: list[Any], sentence: str) -> None:
    connect = Connect()
    connect.status["tasks"] = tasks
    with pytest.raises(ConnectUnavailable, match=sentence):
        worker(connect, seconds=0).provide(read_connector(SINK))


def test_a_signal_ends_the_wait() -> None:
    stop = StopFlag()
    stop.set()
    with pytest.raises(Stopped, match="it answers 409"):
        worker(Connect(httpx.Response(404), httpx.Response(409, text="busy")), stop=stop).provide(read_connector(SINK))


def test_options() -> None:
    settings = load_settings(ProvisionSettings, "provision", ["--connect-url", URL, "--connector", "x.properties"])
    assert (settings.connect_url, settings.connector_path) == (URL, Path("x.properties"))
    assert ProvisionSettings().connect_url is None
