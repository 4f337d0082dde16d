"""What the supervisor checks before it starts anything, and how commands reach it."""

import ast
import fcntl
import socket
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from newsroom_stack.errors import StackError
from newsroom_stack.jvm.artifacts import Artifacts
from newsroom_stack.ports import LOOPBACK, SECOND_OFFSET, port_is_free, reserved
from newsroom_stack.processes import supervisor as module
from newsroom_stack.processes.control import ControlServer, ask
from newsroom_stack.processes.plan import Plan
from newsroom_stack.processes.runfile import Run, mark_of, write_run
from newsroom_stack.processes.supervisor import Supervisor, control_path
from newsroom_stack.settings import StackSettings
from support.processes import sleeping
from support.waiting import wait_for

OFFSET = 15000


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports that are in use; the machine's own are not looked at, as other tests' connections may have any."""
    ports: set[int] = set()
    monkeypatch.setattr(module, "port_is_free", lambda port: port not in ports)
    monkeypatch.setattr(module, "reserved", lambda _: nullcontext())
    return ports


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: set[int]) -> Supervisor:
    assert not taken
    plan = Plan(StackSettings(home=tmp_path, port_offset=OFFSET), cast("Artifacts", None))
    plan.layout.make()
    made = Supervisor(plan, lifeline=None, run_for=None)

    def start() -> None:
        raise AssertionError("nothing may be started")

    monkeypatch.setattr(made, "_start_everything", start)
    return made


def test_a_port_in_use_is_named_with_who_wanted_it(
    supervisor: Supervisor, taken: set[int], capsys: pytest.CaptureFixture[str]
) -> None:
    taken.add(39092 + OFFSET)
    assert supervisor.main() == 1
    said = capsys.readouterr().out
    assert f"error: ports in use: {39092 + OFFSET} (kafka-2). Stop what uses them" in said
    assert f"NEWSROOM_PORT_OFFSET={OFFSET + SECOND_OFFSET}" in said


def test_a_full_disk_is_refused_with_what_to_do(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(psutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 1024**2))
    assert supervisor.main() == 1
    said = capsys.readouterr().out
    assert "has 5 MiB free, brokers need 1 GiB: free some space" in said
    assert str(supervisor.plan.layout.home) in said


def test_a_second_supervisor_of_one_home_is_refused(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    with supervisor.plan.layout.lock.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert supervisor.main() == 1
    assert f"error: a stack already runs from {supervisor.plan.layout.home}" in capsys.readouterr().out


def test_what_a_crashed_run_left_is_ended_before_anything_starts(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end_here() -> None:
        raise StackError("enough")

    with sleeping() as left:
        run = Run(1, "", phase="ready")
        run.processes = [{"name": "kafka-1", "pid": left.pid, "mark": mark_of(left.pid)}]
        write_run(supervisor.plan.layout.run_file, run)
        monkeypatch.setattr(supervisor, "_start_everything", end_here)
        assert supervisor.main() == 1
        assert left.wait() is not None
    assert "an earlier run ended without stopping kafka-1: stopped now" in capsys.readouterr().out


def test_a_supervisor_that_was_killed_is_mentioned_by_the_next_one(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end_here() -> None:
        raise StackError("enough")

    write_run(supervisor.plan.layout.run_file, Run(4711, "", phase="ready"))
    monkeypatch.setattr(supervisor, "_start_everything", end_here)
    assert supervisor.main() == 1
    assert "the supervisor of an earlier run (pid 4711) was killed; nothing of it is left" in capsys.readouterr().out


def test_the_supervisor_loads_no_client_of_kafka() -> None:
    code = "import sys, newsroom_stack.processes.supervisor; print({name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert {"confluent_kafka", "kafka", "quixstreams", "httpx"} & ast.literal_eval(done.stdout) == set()


def test_a_disk_that_fills_up_while_it_runs_stops_the_stack_with_a_sentence(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_space(*_: object) -> None:
        raise StackError("stack.json cannot be written (No space left on device): free some space on that disk")

    def start() -> None:
        monkeypatch.setattr(module, "write_run", no_space)
        supervisor._save()

    monkeypatch.setattr(supervisor, "_start_everything", start)
    assert supervisor.main() == 1
    assert "error: stack.json cannot be written (No space left on device)" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere outgoing connections have ports of their own")
def test_a_reserved_port_can_be_listened_on_and_is_given_to_no_connection() -> None:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        address = probe.getsockname()
    with reserved([address[1]]):
        assert port_is_free(address[1])
        with socket.create_server(address), socket.create_connection(address, 5):
            assert not port_is_free(address[1])
        # The kernel gives an outgoing connection only what could be bound so.
        with socket.socket() as client, pytest.raises(OSError, match="in use"):
            client.bind(address)


def test_commands_are_answered_through_the_socket_and_refusals_are_errors(tmp_path: Path) -> None:
    answers: dict[str, dict[str, Any]] = {"a": {"lines": ["done"]}, "b": {"error": "no such member"}}
    server = ControlServer(tmp_path / "control.sock", lambda _, arguments: answers[arguments["name"]])
    try:
        assert ask(server.path, "pause", name="a") == ["done"]
        with pytest.raises(StackError, match="no such member"):
            ask(server.path, "pause", name="b")
    finally:
        server.close()
    with pytest.raises(StackError, match="is the stack running"):
        ask(server.path, "pause", name="a")


def test_a_command_that_its_user_ends_is_carried_out_and_leaves_no_trace(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    left, done = threading.Event(), threading.Event()

    def answer(action: str, _: dict[str, object]) -> dict[str, object]:
        left.wait(10)
        done.set()
        return {"lines": [action] * 100_000}

    server = ControlServer(tmp_path / "control.sock", answer)
    try:
        for request in (b"", b'{"action": "restart", "arguments": {}}\n'):
            with socket.socket(socket.AF_UNIX) as command:
                command.connect(str(server.path))
                command.sendall(request)
        left.set()
        assert done.wait(10)
    finally:
        server.close()
    wait_for("the end of its thread", lambda: not any("request" in thread.name for thread in threading.enumerate()))
    assert capfd.readouterr() == ("", "")


def test_two_homes_have_two_sockets_and_a_path_that_a_socket_may_have(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    assert len(str(control_path(deep))) < 107
    assert control_path(deep) != control_path(tmp_path)
