"""What a process must answer before it counts as ready: answers of small servers on the loopback."""

import json
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from typing_extensions import override

from newsroom_stack import probes
from newsroom_stack.probes import METADATA_REQUEST, QUORUM_REQUEST, Probe
from support.web import NOBODY, Web

STATUS_PATH = "/connectors?expand=status"
TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n"
    "\tat org.apache.kafka.connect.runtime.WorkerSinkTask\n"
    "Caused by: java.nio.file.NoSuchFileException: test.sink.txt\n\t... 1 more\n"
)


class Broker(socketserver.TCPServer):
    """Answers one metadata request with the brokers of these ports, its own in place of a zero."""

    def __init__(self, *listed: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        own = self.server_address[1]
        brokers = b"".join(
            struct.pack(">ih9sih", number, 9, b"localhost", port or own, -1) for number, port in enumerate(listed, 1)
        )
        body = struct.pack(">ii", 1, len(listed)) + brokers
        self.answer = struct.pack(">i", len(body)) + body
        self.own = f"localhost:{own}"
        self.request = METADATA_REQUEST


NOT_LEADER = 6


class Controller(Broker):
    """Answers one question for the quorum with this error, as the leader or another controller does."""

    def __init__(self, error: int = 0, whole: int = 0) -> None:
        super().__init__()
        partition = struct.pack(">ihiiq", 0, error, 2 if error == 0 else 0, 7, 100)
        body = struct.pack(">ixhBB18sB", 1, whole, 2, 19, b"__cluster_metadata", 2) + partition + bytes(4)
        self.request = QUORUM_REQUEST
        self.answer = struct.pack(">i", len(body)) + body


class Handler(socketserver.StreamRequestHandler):
    server: Broker

    @override
    def handle(self) -> None:
        request = self.server.request
        assert self.rfile.read(len(request)) == request
        self.wfile.write(self.server.answer)


@contextmanager
def broker(*listed: int) -> Iterator[Broker]:
    with serving(Broker(*listed)) as server:
        yield server


@contextmanager
def serving(server: Broker) -> Iterator[Broker]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_broker_that_lists_itself_is_ready_whatever_the_others_do() -> None:
    with broker(0) as alone:
        assert Probe("broker", alone.own).missing() is None
    with broker(29092, 0, 49092) as among_others:
        assert probes.broker_ready(among_others.own) is None


def test_a_broker_that_does_not_list_itself_is_fenced() -> None:
    with broker(29092, 39092) as fenced:
        assert probes.broker_ready(fenced.own) == (
            f"{fenced.own} is not among the brokers that it lists: the controller has fenced it"
        )


@pytest.mark.parametrize(("errors", "ready"), [([NOT_LEADER, 0], True), ([NOT_LEADER, NOT_LEADER], False), ([], False)])
def test_a_broker_is_ready_when_one_of_the_controllers_leads(errors: list[int], *, ready: bool) -> None:
    with ExitStack() as stack:
        alone = stack.enter_context(broker(0))
        controllers = [stack.enter_context(serving(Controller(error))).own for error in errors]
        missing = probes.broker_ready(f"{alone.own} {','.join([NOBODY, *controllers])}")
    no_controller = f"{alone.own} answers, but the cluster has no active controller: start the other brokers"
    assert missing == (None if ready else no_controller)


def test_a_controller_that_is_paused_does_not_hide_the_one_that_leads() -> None:
    with Broker() as paused, broker(0) as alone, serving(Controller()) as leader:  # nobody serves the first
        assert probes.broker_ready(f"{alone.own} {paused.own},{leader.own}") is None


@pytest.mark.parametrize("answer", [b"HTTP", b""])
def test_what_is_no_controller_leads_nothing(answer: bytes) -> None:
    with broker(0) as alone, serving(Controller()) as stranger:
        stranger.answer = answer
        assert "no active controller" in str(probes.broker_ready(f"{alone.own} {stranger.own}"))
    with broker(0) as alone, serving(Controller(whole=41)) as refusing:
        assert "no active controller" in str(probes.broker_ready(f"{alone.own} {refusing.own}"))


def test_what_is_no_broker_and_what_is_silent_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probes.broker_ready(NOBODY) == f"{NOBODY} does not answer (Connection refused)"
    with broker() as server:
        server.answer = b"HTTP"
        assert f"{server.own} does not answer as it should" in str(probes.broker_ready(server.own))
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.05)
    with Broker(0) as paused:  # listens, and nobody serves
        assert probes.broker_ready(paused.own) == f"{paused.own} does not answer (timed out)"


def test_a_url_is_ready_when_it_answers_200() -> None:
    body = b'{"status": "unavailable", "missing": {"partitions": "waiting for partitions", "loop": "it hangs"}}'
    with Web(lambda request: request.reply(503, body)) as server:
        url = f"{server.url}/readyz"
        assert probes.http_ready(url) == f"{url} answers 503: waiting for partitions; it hangs"
        assert server.paths == ["/readyz"]
    with Web(lambda request: request.reply(404, b"[1]\n")) as server:
        assert probes.http_ready(server.url) == f"{server.url} answers 404: [1]"
    assert probes.http_ready(f"http://{NOBODY}/") == f"http://{NOBODY}/ does not answer (Connection refused)"


def status(connector: str, *tasks: str, trace: str = TRACE) -> bytes:
    states = [{"id": number, "state": state, "trace": trace} for number, state in enumerate(tasks)]
    return json.dumps({"sink": {"status": {"connector": {"state": connector}, "tasks": states}}}).encode()


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        (status("RUNNING", "RUNNING"), None),
        (
            status("RUNNING", "RUNNING", "FAILED"),
            f"task 1 of connector sink is FAILED: {TRACE.splitlines()[0]} {TRACE.splitlines()[2]}",
        ),
        (status("FAILED"), "connector sink is FAILED"),
        (status("RUNNING", "UNASSIGNED", trace=""), "task 0 of connector sink is UNASSIGNED"),
        (status("RUNNING"), "connector sink has no task yet"),
        (b"{}", "URL has no connector yet"),
        (b"<html>", f"URL{STATUS_PATH} does not answer as it should (Expecting value: line 1 column 1 (char 0))"),
    ],
)
def test_connect_is_ready_when_its_connectors_and_their_tasks_run(answer: bytes, missing: str | None) -> None:
    with Web(lambda request: request.reply(200, answer)) as server:
        reason = Probe("connect", server.url).missing()
        assert server.paths == [STATUS_PATH]
    assert reason == (missing and missing.replace("URL", server.url))


def test_connect_that_answers_an_error_is_not_ready() -> None:
    with Web(lambda request: request.reply(500, b"herder")) as server:
        assert probes.connect_ready(server.url) == f"{server.url}{STATUS_PATH} answers 500: herder"
    assert "does not answer (Connection refused)" in str(probes.connect_ready(f"http://{NOBODY}"))


def test_a_proxy_is_no_way_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Web(lambda request: request.reply(200)) as server:
        assert probes.http_ready(f"http://localhost:{server.server_port}") is None
