"""The findings of the doctor on machines that lack something."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from newsroom_stack.cli import app as cli
from newsroom_stack.cli import doctor
from newsroom_stack.cli.doctor import Finding, Verdict, examine
from newsroom_stack.containers.checkup import Ailment
from newsroom_stack.containers.stack import ContainerStack
from newsroom_stack.interface import Stack
from newsroom_stack.layout import Layout
from newsroom_stack.ports import SECOND_OFFSET, Ports
from newsroom_stack.processes.runfile import Run, mark_of, write_run
from newsroom_stack.settings import StackSettings

ENGINE = ["docker", "version", "--format", "{{.Server.Version}}"]
COMPOSE = ["docker", "compose", "version", "--short"]

Answers = dict[str, object]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """The answers of a machine without problems, for tests to change."""
    answers: Answers = {
        "engine": "26.1.5+dfsg1",
        "compose": "v2.26.1",
        "taken": set(),
        "disk": 50,
        "memory": 8,
        "data": "/",
        "ill": [],
    }

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if command[1] == "info":
            return subprocess.CompletedProcess(command, 0, f"{answers['data']}\n", "")
        answer = answers["engine" if command == ENGINE else "compose"]
        if isinstance(answer, Exception):
            raise answer
        return subprocess.CompletedProcess(command, 0 if answer else 1, f"{answer}\n", "" if answer else "no daemon\n")

    def gib(name: str) -> int:
        return cast("int", answers[name]) * doctor.GIB

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(doctor, "port_is_free", lambda port: port not in cast("set[int]", answers["taken"]))
    monkeypatch.setattr(doctor, "_owner", lambda _: None)
    monkeypatch.setattr(doctor, "broker_ready", lambda _: None)
    monkeypatch.setattr(doctor, "http_ready", lambda _: None)
    monkeypatch.setattr(doctor, "connect_ready", lambda url: f"{url} does not answer")
    monkeypatch.setattr(doctor, "ailments", lambda _: iter(cast("list[tuple[str, Ailment]]", answers["ill"])))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/docker")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=gib("disk")))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gib("memory")))
    return answers


def findings_on(folder: Path, *, docker: bool = False, running: bool = False) -> dict[str, Finding]:
    settings = StackSettings(home=folder, cache=folder / "cache", docker=docker)
    stack = ContainerStack(settings) if docker else SimpleNamespace(settings=settings, ports=Ports())
    stack.running = lambda: running  # type: ignore[method-assign]
    return {finding.subject: finding for finding in examine(cast("Stack", stack))}


@pytest.mark.usefixtures("machine")
def test_on_a_good_machine_nothing_is_wrong(tmp_path: Path) -> None:
    findings = findings_on(tmp_path)
    assert list(findings) == ["Python", "disk", "memory", "downloads", "ports", "Docker"]
    assert {finding.verdict for finding in findings.values()} == {Verdict.OK, Verdict.WARNING}
    assert findings["downloads"].remedy == "the first 'newsroom up' downloads them and needs the network"
    assert {finding.verdict for finding in findings_on(tmp_path, docker=True).values()} == {Verdict.OK}


def test_a_full_disk_and_little_memory_are_named_with_a_remedy(machine: Answers, tmp_path: Path) -> None:
    machine |= {"disk": 1, "memory": 1}
    findings = findings_on(tmp_path)
    assert findings["disk"].verdict is Verdict.PROBLEM
    assert "set NEWSROOM_HOME" in findings["disk"].remedy
    assert findings["memory"].verdict is Verdict.WARNING
    assert "close something" in findings["memory"].remedy


@pytest.mark.parametrize("docker", [False, True])
def test_a_port_in_use_is_named_with_a_remedy(machine: Answers, tmp_path: Path, docker: bool) -> None:
    machine["taken"] = {8081}
    finding = findings_on(tmp_path, docker=docker)["ports"]
    assert finding.verdict is Verdict.PROBLEM
    assert finding.detail == "8081 is used by a process of another user"
    assert finding.remedy == f"stop it, or set NEWSROOM_PORT_OFFSET={SECOND_OFFSET}"


def test_a_port_of_a_worker_is_held_by_this_stack(
    machine: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, own = Layout(tmp_path), os.getpid()
    layout.make()
    write_run(layout.run_file, Run(0, "", processes=[{"name": "status-api", "pid": own, "mark": mark_of(own)}]))
    machine["taken"] = {8000}
    monkeypatch.setattr(doctor, "_owner", lambda _: SimpleNamespace(pid=0, ppid=lambda: own))
    assert findings_on(tmp_path)["ports"].detail == "held by this stack (offset 0)"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ("24.0.9", "24.0.9 is too old"),
        ("", "no daemon"),
        (FileNotFoundError("docker"), "docker is not installed"),
        (subprocess.TimeoutExpired("docker", 5), "no answer within 5 s"),
    ],
)
def test_an_unusable_engine_is_reported_before_anything_else(
    machine: Answers, tmp_path: Path, answer: object, detail: str
) -> None:
    machine["engine"] = answer
    findings = findings_on(tmp_path, docker=True)
    assert list(findings) == ["engine", "compose"]
    assert (findings["engine"].verdict, findings["engine"].detail) == (Verdict.PROBLEM, detail)
    assert findings["engine"].remedy


def test_containers_that_run_hold_their_ports_and_are_asked(machine: Answers, tmp_path: Path) -> None:
    machine |= {"taken": {8081}, "compose": "2.25.0"}
    assert findings_on(tmp_path, docker=True)["compose"].detail == "2.25.0 is too old"
    machine["compose"] = "5.0"
    findings = findings_on(tmp_path, docker=True, running=True)
    assert findings["ports"].detail == "held by this stack (offset 0)"
    assert findings["kafka-1 localhost:29092"].verdict is Verdict.OK
    assert findings["connect http://localhost:8083"].verdict is Verdict.PROBLEM


def test_containers_that_are_not_well_and_a_full_engine_are_named(machine: Answers, tmp_path: Path) -> None:
    machine |= {"disk": 1, "ill": [("kafka-2", Ailment("is paused", "docker compose unpause kafka-2"))]}
    findings = findings_on(tmp_path, docker=True, running=True)
    assert findings["disk"] == Finding("disk", Verdict.PROBLEM, "1.0 GiB free at /", findings["disk"].remedy)
    assert "docker system df" in findings["disk"].remedy
    assert findings["kafka-2"] == Finding("kafka-2", Verdict.PROBLEM, "is paused", "docker compose unpause kafka-2")
    machine["data"] = "/a folder of another machine"
    assert "disk" not in findings_on(tmp_path, docker=True, running=True)


@pytest.mark.parametrize(("verdicts", "code"), [("ok warning", 0), ("problem ok", 1)])
def test_the_exit_code_tells_whether_there_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, verdicts: str, code: int
) -> None:
    findings = [Finding("disk", Verdict(verdict), "1 GiB") for verdict in verdicts.split()]
    monkeypatch.setattr(doctor, "examine", lambda _: iter(findings))
    assert cli.main(["doctor"]) == code


@pytest.mark.usefixtures("machine")
def test_a_killed_supervisor_is_a_finding(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    write_run(layout.run_file, Run(4711, "", phase="ready"))
    finding = findings_on(tmp_path)["stack"]
    assert finding.verdict is Verdict.PROBLEM
    assert "the supervisor (pid 4711) was killed" in finding.detail
