"""The checks of `newsroom doctor`: can this machine run the stack, and if not, what helps?"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from newsroom_stack.containers.checkup import ailments
from newsroom_stack.containers.stack import ContainerStack
from newsroom_stack.jvm.artifacts import locked_files
from newsroom_stack.layout import Layout
from newsroom_stack.ports import LOOPBACK, SECOND_OFFSET, Ports, port_is_free
from newsroom_stack.probes import broker_ready, connect_ready, http_ready
from newsroom_stack.processes.runfile import living, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.interface import Stack
    from newsroom_stack.settings import StackSettings

GIB = 1024**3
FREE_DISK_GIB = 2.0
"""Room for the downloads (0.6 GiB unpacked) and a gigabyte of records."""

FREE_MEMORY_GIB = 3.0
"""The resident memory of the whole stack stays below this."""

DOCKER_SECONDS = 5

ENGINE = (25, 0)
"""The oldest engine that supports `start_interval` in health checks."""

COMPOSE = (2, 26)
"""The oldest version of compose that has been tested with docker-compose.yml."""


class Verdict(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def examine(stack: Stack) -> Iterator[Finding]:
    """Check everything that the stack needs, as processes or as containers."""
    return _containers(stack) if isinstance(stack, ContainerStack) else _processes(stack.settings)


def _containers(stack: ContainerStack) -> Iterator[Finding]:
    engine = _version("engine", ENGINE, "version", "--format", "{{.Server.Version}}")
    compose = _version("compose", COMPOSE, "compose", "version", "--short")
    yield from (engine, compose)
    if Verdict.PROBLEM in (engine.verdict, compose.verdict):
        return
    running = stack.running()
    folder = Path(_run_docker("info", "--format", "{{.DockerRootDir}}").stdout.strip())
    if folder.exists():  # the engine of Docker Desktop has a machine of its own
        yield _disk(folder, "docker system df shows what can be deleted")
    yield _memory(running=running)
    ports = stack.ports
    for name, ailment in ailments(stack):
        yield Finding(name, Verdict.PROBLEM, ailment.problem, ailment.remedy)
    if running:
        yield Finding("ports", Verdict.OK, f"held by this stack (offset {ports.offset})")
        yield from _addresses(ports)
    else:
        yield from _ports({*ports.brokers, ports.registry, ports.connect, ports.status, ports.ui}, set(), ports.offset)


def _version(what: str, least: tuple[int, int], *command: str) -> Finding:
    try:
        result = _run_docker(*command)
    except FileNotFoundError:
        return Finding(what, Verdict.PROBLEM, "docker is not installed", f"install Docker {ENGINE[0]} or newer")
    except subprocess.TimeoutExpired:
        return Finding(what, Verdict.PROBLEM, f"no answer within {DOCKER_SECONDS} s", "restart Docker")
    version = re.match(r"v?(\d+)\.(\d+)\S*", result.stdout.strip())
    if result.returncode != 0 or version is None:
        reason = (result.stderr.strip().splitlines() or ["no answer"])[-1]
        return Finding(what, Verdict.PROBLEM, reason, "start Docker, with its compose plugin installed")
    if (int(version[1]), int(version[2])) < least:
        return Finding(what, Verdict.PROBLEM, f"{version[0]} is too old", f"install {least[0]}.{least[1]} or newer")
    return Finding(what, Verdict.OK, version[0])


def _run_docker(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *command], capture_output=True, text=True, timeout=DOCKER_SECONDS, check=False)


def _processes(settings: StackSettings) -> Iterator[Finding]:
    layout, ports = Layout(settings.home.absolute()), Ports(settings.port_offset)
    run = read_run(layout.run_file)
    ours = {process["pid"] for process in living(run)} if run else set()
    yield Finding("Python", Verdict.OK, f"{platform.python_version()} at {sys.executable}")
    yield _disk(layout.home, "free some space, 'newsroom down --wipe', or set NEWSROOM_HOME")
    yield _memory(running=bool(ours))
    yield _downloads(settings)
    yield from _ports({*ports.at_start().values()}, ours, ports.offset)
    if run is not None and run.abandoned():
        yield Finding("stack", Verdict.PROBLEM, run.epitaph())
    if run is not None and run.supervised():
        yield from _addresses(ports)
    yield _docker()


def _disk(home: Path, remedy: str) -> Finding:
    folder = home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    detail = f"{free:.1f} GiB free at {home}"
    if free >= FREE_DISK_GIB:
        return Finding("disk", Verdict.OK, detail)
    return Finding("disk", Verdict.PROBLEM, detail, remedy)


def _memory(*, running: bool) -> Finding:
    free = psutil.virtual_memory().available / GIB
    detail = f"{free:.1f} GiB available"
    if free >= FREE_MEMORY_GIB or running:
        return Finding("memory", Verdict.OK, detail)
    return Finding("memory", Verdict.WARNING, detail, f"the stack needs up to {FREE_MEMORY_GIB:g} GiB: close something")


def _downloads(settings: StackSettings) -> Finding:
    missing = [path for path in locked_files(settings.cache) if not path.exists()]
    if not missing:
        return Finding("downloads", Verdict.OK, f"Kafka and the registry are in {settings.cache}")
    return Finding(
        "downloads",
        Verdict.WARNING,
        f"{len(missing)} files are not in {settings.cache} yet",
        "the first 'newsroom up' downloads them and needs the network",
    )


def _ports(ports: set[int], ours: set[int], offset: int) -> Iterator[Finding]:
    taken = {port: _owner(port) for port in sorted(ports) if not port_is_free(port)}
    moved = f"NEWSROOM_PORT_OFFSET={offset + SECOND_OFFSET}"
    # The parent too: gunicorn's worker listens, and the stack knows its master.
    strangers = {port: owner for port, owner in taken.items() if owner is None or not ours & {owner.pid, owner.ppid()}}
    if not strangers:
        detail = "held by this stack" if taken else f"all {len(ports)} are free"
        yield Finding("ports", Verdict.OK, f"{detail} (offset {offset})")
    for port, owner in strangers.items():
        who = f"{owner.name()} (pid {owner.pid})" if owner else "a process of another user"
        yield Finding("ports", Verdict.PROBLEM, f"{port} is used by {who}", f"stop it, or set {moved}")


def _owner(port: int) -> psutil.Process | None:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            return psutil.Process(connection.pid)
    return None


def _addresses(ports: Ports) -> Iterator[Finding]:
    brokers = {f"kafka-{node}": f"localhost:{port}" for node, port in enumerate(ports.brokers, 1)}
    answers = {f"{name} {address}": broker_ready(address) for name, address in brokers.items()}
    answers[f"registry {ports.registry_url}"] = http_ready(f"{ports.registry_url}/subjects")
    answers[f"connect http://localhost:{ports.connect}"] = connect_ready(f"http://localhost:{ports.connect}")
    answers[f"status {ports.status_url}"] = http_ready(f"http://{LOOPBACK}:{ports.status}/readyz")
    for address, problem in answers.items():
        if problem is None:
            yield Finding(address, Verdict.OK, "answers")
        else:
            yield Finding(address, Verdict.PROBLEM, problem, "newsroom logs shows why")


def _docker() -> Finding:
    if shutil.which("docker") is None:
        return Finding("Docker", Verdict.OK, "not installed; processes do not need it")
    try:
        result = _run_docker("version", "--format", "{{.Server.Version}}")
    except subprocess.TimeoutExpired:
        return Finding("Docker", Verdict.WARNING, "the engine does not answer", "processes do not need it")
    if result.returncode == 0:
        return Finding("Docker", Verdict.OK, f"engine {result.stdout.strip()}")
    return Finding("Docker", Verdict.OK, "installed, but the engine does not answer; processes do not need it")
