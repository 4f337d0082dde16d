"""Start, stop, crash and start again: stacks of their own, driven as a user drives them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from newsroom_stack.layout import REPOSITORY
from newsroom_stack.ports import LOOPBACK, port_is_free
from newsroom_stack.settings import StackSettings
from support.pipeline import ANSI, ProcessPipeline, every_port, free_offset
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

START_SECONDS = 120.0
STOP_SECONDS = 20.0
"""What Ctrl-C may take."""


@dataclass
class Command:
    """A `newsroom` command that runs, with what it writes in a file."""

    process: subprocess.Popen[bytes]
    file: Path

    def output(self) -> str:
        return ANSI.sub("", self.file.read_text(errors="replace"))

    def wait_for_line(self, start: str) -> str:
        """The first line that begins so; the command must not end before it."""

        def first_line() -> str | None:
            for line in self.output().splitlines():
                if line.startswith(start):
                    return line
            assert self.process.poll() is None, self.output()
            return None

        return wait_for(f"a line '{start}…'", first_line, START_SECONDS)

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        assert self.process.wait(STOP_SECONDS) == 0, self.output()


class Home:
    """A home of a stack, and the commands that run in it."""

    def __init__(self, folder: Path, resources: ExitStack) -> None:
        self.settings = StackSettings(home=folder / "home", port_offset=free_offset(), news_rate=5.0)
        self.pipeline = ProcessPipeline(self.settings)
        self._folder = folder
        self._resources = resources

    def start(self, *arguments: str) -> Command:
        """Start `newsroom` and go on; at the end of the test it is stopped, if it still runs."""
        file = self._folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with file.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "newsroom_stack.cli.app", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                env=self.pipeline.environment() | {"PYTHONUNBUFFERED": "1"},
            )
        self._resources.callback(self._end, process)
        return Command(process, file)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            process.wait(2 * STOP_SECONDS)

    def processes(self) -> list[str]:
        """Every process of this stack: each inherits the variable that names its home."""
        lines = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("NEWSROOM_HOME") == str(self.settings.home):
                    lines.append(f"{process.pid} {process.status()} {' '.join(process.cmdline())[:200]}")
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [line for line in lines if psutil.STATUS_ZOMBIE not in line]

    def assert_nothing_is_left(self) -> None:
        assert self.processes() == []
        assert [port for port in every_port(self.settings.port_offset) if not port_is_free(port)] == []


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with ExitStack() as resources:
        made = Home(tmp_path, resources)
        resources.callback(made.pipeline.stack.down)
        yield made


def test_the_demo_tells_its_story_on_new_data_and_on_kept_data(home: Home) -> None:
    demo = home.start("demo")
    line = demo.wait_for_line("pipeline: ok")
    assert re.search(r"value10 counted 6, joined \(6, active\), connector 252 lines, in \d+ s", line), line
    assert "\x1b" not in demo.file.read_text(), "a pipe gets plain lines"
    assert "records in: news " in demo.output()

    second = home.pipeline.command("newsroom", "up")
    assert (second.code, "a stack already runs from" in second.output) == (1, True), second.output

    guest = home.start("demo")
    line = guest.wait_for_line("pipeline: ok")
    assert re.search(r"value10 counted 12, joined \(12, active\), connector 504 lines", line), line
    guest.end(signal.SIGINT)
    assert "the stack goes on running" in guest.output()
    assert home.pipeline.stack.running()

    pids = {instance.name: instance.pid for instance in home.pipeline.stack.ps()}
    demo.end(signal.SIGINT)
    home.assert_nothing_is_left()
    assert len(pids) == 10
    assert "stopping everything in order" in home.pipeline.log("supervisor")

    again = home.start("demo")
    line = again.wait_for_line("pipeline: ok")
    assert re.search(r"value10 counted 18, joined \(18, active\), connector 756 lines", line), line
    subjects = home.pipeline.command("provision")
    assert re.search(r"subject news-value: schema id 1\b", subjects.output), subjects.output
    again.end(signal.SIGTERM)
    home.assert_nothing_is_left()


def test_after_a_crash_of_the_supervisor_nothing_is_left_and_nothing_is_lost(home: Home) -> None:
    started = home.pipeline.command("newsroom", "up", "--detach", seconds=START_SECONDS)
    assert started.code == 0, started.output
    assert "running in the background" in started.output
    wait_for("everything is ready", home.pipeline.all_ready)
    table = json.loads(home.pipeline.command("newsroom", "ps", "--json").output)
    assert {row["state"] for row in table} == {"running"}
    assert {row["restarts"] for row in table if row["role"] != "service"} == {0}
    assert all(row["pid"] and row["address"] and row["role"] for row in table)
    home.pipeline.rounds(2)
    home.pipeline.quiet()

    run = json.loads((home.settings.home / "run" / "stack.json").read_text())
    os.kill(run["supervisor_pid"], signal.SIGKILL)
    if sys.platform == "linux":
        wait_for("the kernel ended every member", lambda: not home.processes(), 20)
    assert {instance.state for instance in home.pipeline.stack.ps()} == {"gone"}
    for command in (("kill", "kafka-1"), ("ps",), ("doctor",)):
        said = home.pipeline.command("newsroom", *command).output
        assert f"the supervisor (pid {run['supervisor_pid']}) was killed and did not stop the stack" in said

    up = home.start("up", "--for", "20s")
    up.wait_for_line("the supervisor of an earlier run")
    up.wait_for_line("stops by itself in 20 s")
    counts = home.pipeline.observer.counts()
    assert {counts.get(f"value{i}") for i in range(21)} == {2}
    assert up.process.wait(20 + STOP_SECONDS) == 0, up.output()
    assert "ran for 20 s as asked" in up.output()
    home.assert_nothing_is_left()
    wiped = home.pipeline.command("newsroom", "down", "--wipe")
    assert (wiped.code, home.settings.home.exists()) == (0, False), wiped.output


def test_what_is_broken_is_named_and_can_be_healed(home: Home) -> None:
    newsroom = partial(home.pipeline.command, "newsroom", seconds=START_SECONDS)
    assert newsroom("up", "--detach").code == 0
    again = newsroom("up", "--detach")
    assert (again.code, "a stack already runs from" in again.output) == (0, True), again.output
    healthy = newsroom("doctor")
    assert (healthy.code, "held by this stack" in healthy.output) == (0, True), healthy.output

    def unready() -> dict[str, str]:
        return {instance.name: instance.missing for instance in home.pipeline.stack.ps() if not instance.ready}

    assert newsroom("kill", "kafka-2").code == 0
    wait_for("two brokers and an active controller", lambda: not {"kafka-1", "kafka-3"} & set(unready()), 30)
    assert newsroom("kill", "kafka-3").code == 0
    lone = "answers, but the cluster has no active controller: start the other brokers"
    wait_for("a lone broker is not ready", lambda: lone in unready().get("kafka-1", ""), 30)
    both = [home.start("restart", name) for name in ("kafka-3", "kafka-2")]
    assert [command.process.wait(START_SECONDS) for command in both] == [0, 0], [command.output() for command in both]
    wait_for("everything is ready", home.pipeline.all_ready, START_SECONDS)

    connector = f"http://localhost:{home.pipeline.ports.connect}/connectors/local-file-sink/config"
    config = httpx.get(connector).json() | {"value.converter": "org.apache.kafka.connect.json.JsonConverter"}
    assert httpx.put(connector, json=config, timeout=30).is_success
    assert home.pipeline.rounds(1).code == 0
    failure = "task 0 of connector local-file-sink is FAILED: org"
    wait_for("the failed task", lambda: failure in unready().get("connect", ""))
    assert "connect is not ready: task 0 of connector local-file-sink is FAILED" in newsroom("ps").output
    assert (newsroom("doctor").code, newsroom("restart", "connect").code) == (1, 0)
    assert "connect" not in unready()

    sink = home.pipeline.layout.sink_file
    sink.unlink()
    sink.mkdir()
    failed = newsroom("restart", "connect")
    assert failed.code == 1
    assert "connect is not ready: task 0 of connector local-file-sink is FAILED: org" in failed.output
    assert "within 60 s" not in failed.output
    sink.rmdir()
    assert newsroom("restart", "connect").code == 0


def test_ctrl_c_while_it_starts_leaves_nothing(home: Home) -> None:
    up = home.start("up")
    wait_for("the first brokers", lambda: len(home.processes()) > 4, START_SECONDS)
    up.process.send_signal(signal.SIGINT)
    up.process.wait(STOP_SECONDS)
    home.assert_nothing_is_left()
    assert "Traceback" not in up.output()
    assert "nothing runs" in home.pipeline.command("newsroom", "ps").output


def test_a_port_in_use_is_named_with_what_to_do_and_nothing_is_left(home: Home) -> None:
    port = home.pipeline.ports.registry
    with socket.create_server((LOOPBACK, port)):
        refused = home.pipeline.command("newsroom", "up")
        doctor = home.pipeline.command("newsroom", "doctor")
    assert refused.code == 1
    assert f"error: ports in use: {port} (registry)" in refused.output
    assert "NEWSROOM_PORT_OFFSET" in refused.output
    assert (doctor.code, f"{port} is used by" in doctor.output) == (1, True), doctor.output
    home.assert_nothing_is_left()
