"""The provision job's edge to Kafka Connect: a distributed worker takes its connectors through REST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from newsroom.errors import NotYet, SettingsError
from newsroom.logs import get_logger
from newsroom.waiting import Deadline, need
from provision.errors import ConnectorRefused, ConnectUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from newsroom.waiting import Wait

log = get_logger(__name__)

REQUEST_SECONDS = 10.0
"""One request. Connect checks a configuration by starting the connector's class, which takes it a second or two."""

STALE_SECONDS = 10.0
"""A connector that is there starts within a second or two. One that for so long neither runs nor has failed has most
likely a stale status: see `ConnectWorker._start_again`."""

RUNNING = "RUNNING"
FAILED = "FAILED"


@dataclass(frozen=True)
class Connector:
    """A connector as its file describes it."""

    name: str
    config: Mapping[str, str]


def read_connector(path: Path) -> Connector:
    """Read the file that a standalone worker is started with: `name=value` lines.

    References such as `${env:X}` are left as they are: the worker looks them up.

    Raises:
        SettingsError: the file cannot be read, or is not of that form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"connector file {path} cannot be read: {error}") from error
    config: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith(("#", "!")):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not key or not equals or value.endswith("\\"):
            raise SettingsError(f"connector file {path}, line {number}: write name=value on one line, got '{line}'")
        config[key] = value
    if not config.get("name"):
        raise SettingsError(f"connector file {path} has no name=…")
    return Connector(config["name"], config)


class ConnectWorker:
    """Connect as the job sees it. Every wait ends at the job's one deadline, or at a signal."""

    def __init__(self, client: httpx.Client, patience: Wait) -> None:
        self._client = client
        self._address = str(client.base_url)
        self._patience = patience
        self._stale: Deadline
        """When a state that does not change is taken for a stale one."""

    def provide(self, connector: Connector) -> int:
        """Create or update the connector, and return its tasks' number when all of them run.

        Raises:
            ConnectUnavailable: Connect does not answer or does not run the connector before the deadline.
            ConnectorRefused: Connect does not take the configuration.
        """
        self._wait(lambda: self._untaken(connector))
        self._stale = Deadline(STALE_SECONDS)
        self._wait(lambda: self._idle(connector.name))
        return len(self._status(connector.name)["tasks"])

    def _untaken(self, connector: Connector) -> str | None:
        """None when Connect has taken the configuration, otherwise why it could not yet."""
        # What is there already is not put again: that would stop and start the connector.
        there = self._client.get(f"/connectors/{connector.name}/config")
        if there.is_success and there.json() == connector.config:
            return None
        answer = self._client.put(f"/connectors/{connector.name}/config", json=dict(connector.config))
        if answer.is_success:
            return None
        message = _message(answer)
        if answer.status_code == httpx.codes.CONFLICT or answer.is_server_error:
            # While its workers agree on who does what, Connect answers 409; while it starts, 5xx.
            return f"it answers {answer.status_code}: {message}"
        raise ConnectorRefused(
            f"Connect at {self._address} refuses connector {connector.name} ({answer.status_code}): {message}"
        )

    def _idle(self, name: str) -> str | None:
        """None when the connector and at least one task run, otherwise what does not."""
        status = self._status(name)
        parts = [("connector", status["connector"]), *((f"task {each['id']}", each) for each in status["tasks"])]
        seen = [_state(what, part) for what, part in parts if part["state"] != RUNNING]
        if not status["tasks"]:
            seen.append("no task yet")
        if seen and self._stale.passed() and all(part["state"] != FAILED for _, part in parts):
            self._start_again(name)
        return f"{name}: {', '.join(seen)}" if seen else None

    def _start_again(self, name: str) -> None:
        """Let the worker start a connector anew, so that it writes down its state once more.

        A worker writes states to a topic and repeats what fails on its own. When the topic's leader moves between
        two of them, the older one may come last, and a connector that runs is called UNASSIGNED until it changes.
        """
        log.info("the connector's state does not change: it is started again", connector=name)
        self._client.post(f"/connectors/{name}/restart", params={"includeTasks": "true"})
        self._stale = Deadline(STALE_SECONDS)

    def _status(self, name: str) -> dict[str, Any]:
        answer = self._client.get(f"/connectors/{name}/status")
        if not answer.is_success:  # not in the status topic yet
            return {"connector": {"state": f"status {answer.status_code}"}, "tasks": []}
        status: dict[str, Any] = answer.json()
        return status

    def _wait(self, missing: Callable[[], str | None]) -> None:
        def attempt() -> None:
            try:
                need(missing())
            except httpx.HTTPError as error:
                raise NotYet(f"it does not answer ({str(error) or type(error).__name__})") from error
            except ValueError as error:  # a proxy's page instead of JSON
                raise NotYet(f"what answers is not Kafka Connect ({error})") from error

        self._patience.until(
            attempt,
            lambda missing: ConnectUnavailable(
                f"Connect at {self._address} is not ready after {self._patience.deadline.seconds:g} s: {missing}; look "
                "at its log, or correct --connect-url",
                address=self._address,
            ),
        )


def connect_client(url: str) -> httpx.Client:
    """A client of Connect's REST API."""
    return httpx.Client(base_url=url, timeout=REQUEST_SECONDS)


def _state(what: str, part: Mapping[str, Any]) -> str:
    # A failed task carries a Java stack trace; its first line says what is wrong.
    reason = str(part.get("trace") or "").strip().partition("\n")[0]
    return f"{what} is {part['state']}{f' ({reason})' if reason else ''}"


def _message(answer: httpx.Response) -> str:
    try:
        return " ".join(str(answer.json()["message"]).split())
    except (ValueError, KeyError, TypeError):
        return " ".join(answer.text.split())[:200]
