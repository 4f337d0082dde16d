"""`docker compose` for one stack: its project, its ports, its files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections import deque
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from newsroom_stack.errors import StackError
from newsroom_stack.interface import silent
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from newsroom_stack.interface import Show
    from newsroom_stack.settings import StackSettings

LAST_LINES = 15
"""How many of its last lines the error of a failed command has."""

LOG_LINE = re.compile(r"(?:\x1b\[2K)*(\S+)-(\d+) +\| ?(.*)")
"""A line of `docker compose logs`: service, number and text. Compose first erases the line, even in a pipe, and its
writers may do that one after another."""


class Compose:
    """Runs `docker compose` on the repository's file.

    A stack with moved ports is a project of its own, apart from another clone's stack. As with docker compose itself,
    COMPOSE_PROJECT_NAME and COMPOSE_FILE change the project's name and add files.
    """

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings

    @cached_property
    def project(self) -> str:
        """The project's name, which every container, network and volume of the stack has as a label."""
        config: dict[str, Any] = json.loads(self.run("config", "--format", "json", seconds=30))
        return str(config["name"])

    def environment(self) -> dict[str, str]:
        """The variables that the compose file reads."""
        ports = Ports(self._settings.port_offset)
        brokers = {f"NEWSROOM_KAFKA_{node}_PORT": str(port) for node, port in enumerate(ports.brokers, 1)}
        project = {"COMPOSE_PROJECT_NAME": f"newsroom-{ports.offset}"} if ports.offset else {}
        return {
            **project,
            **os.environ,
            **brokers,
            "NEWSROOM_REGISTRY_PORT": str(ports.registry),
            "NEWSROOM_CONNECT_PORT": str(ports.connect),
            "NEWSROOM_STATUS_PORT": str(ports.status),
            "NEWSROOM_UI_PORT": str(ports.ui),
            "NEWSROOM_PROMETHEUS_PORT": str(ports.prometheus),
            "NEWSROOM_GRAFANA_PORT": str(ports.grafana),
            "NEWSROOM_NEWS_RATE": f"{self._settings.news_rate:g}",
        }

    def run(self, *arguments: str, seconds: float, show: Show = silent) -> str:
        """Run one command to its end and return its standard output. `show` gets its progress, line by line.

        Raises:
            StackError: it failed or took longer than `seconds`; the message ends with its last lines.
        """
        last_lines: deque[str] = deque(maxlen=LAST_LINES)
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as output,
            self._open(arguments, output, subprocess.PIPE) as process,
        ):
            killer = threading.Timer(seconds, _end, (process,))
            killer.start()
            try:
                # Compose writes its progress to standard error.
                for line in process.stderr or ():
                    last_lines.append(line.rstrip())
                    show(line.strip())
                code = process.wait()
            finally:
                in_time = killer.is_alive()
                killer.cancel()
                _end(process)
            output.seek(0)
            text = output.read()
        if code != 0:
            command = f"'docker compose {' '.join(arguments)}'"
            reason = f"ended with exit code {code}" if in_time else f"did not end within {seconds:g} s"
            raise StackError(f"{command} {reason}:\n" + "\n".join(f"    {line}" for line in last_lines))
        return text

    def follow_logs(self) -> Iterator[tuple[str, int, str]]:
        """Service, number and line of every container, also of those that start later, until all have ended."""
        arguments = ("--profile", "*", "logs", "--follow", "--no-color")
        with self._open(arguments, subprocess.PIPE, subprocess.DEVNULL) as process:
            try:
                for line in process.stdout or ():
                    # Other lines are compose's own: "… exited with code 0".
                    if match := LOG_LINE.fullmatch(line.rstrip("\n")):
                        yield match[1], int(match[2]), match[3]
            finally:
                _end(process)

    def _open(self, arguments: Sequence[str], stdout: IO[str] | int, stderr: int) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                ["docker", "compose", "--project-directory", str(REPOSITORY), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
                errors="replace",
                cwd=REPOSITORY,
                env=self.environment(),
                # Ctrl-C reaches only the command line, which then stops everything.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise StackError(
                "docker is not installed: install Docker with its compose plugin, or leave out --docker"
            ) from error


def _end(process: subprocess.Popen[str]) -> None:
    # The whole group: docker runs compose as a child process, which would keep the pipes open.
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
