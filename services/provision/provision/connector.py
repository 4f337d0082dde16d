"""The provision job's access to Kafka Connect: a distributed worker accepts connectors through its REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from newsroom.errors import NotYet
from newsroom.logs import get_logger
from newsroom.waiting import Deadline, need
from provision.errors import ConnectorFailed, ConnectorRefused, ConnectUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom.waiting import Wait

log = get_logger(__name__)

REQUEST_SECONDS = 10.0
"""The timeout of one request. To check a configuration, Connect loads the connector's class: a second or two."""

STALE_SECONDS = 10.0
"""A connector starts within a second or two. If it neither runs nor fails for this long, its status is probably stale:
see `ConnectWorker._restart`."""

FAILED_SECONDS = 5.0
"""What is failed for this long stays so until someone restarts it. A changed configuration restarts it at once."""

STARTING = frozenset({httpx.codes.NOT_FOUND, httpx.codes.CONFLICT})
"""What Connect answers to a configuration, beside 5xx, before its paths are there, and while its workers rebalance."""

RUNNING = "RUNNING"
FAILED = "FAILED"


class ConnectWorker:
    """The job's requests to Connect. Every wait ends at the job's one deadline, or at a signal."""

    def __init__(self, client: httpx.Client, wait: Wait, *, update: bool = False) -> None:
        self._client = client
        self._update = update
        self._address = str(client.base_url)
        self._wait = wait
        self._stale: Deadline
        """After this, a state that has not changed counts as stale."""
        self._failed: Deadline | None = None
        """After this, what has failed stays so."""

    def provide(self, config: Mapping[str, str]) -> int:
        """Create the connector if it is missing, wait until all its tasks run, and return their number.

        A connector that is there keeps its configuration, unless the job is told to update it.

        Raises:
            ConnectUnavailable: Connect does not answer, or does not run the connector, before the deadline.
            ConnectorRefused: Connect rejects the configuration.
            ConnectorFailed: the connector or a task of it stays failed.
        """
        name = config["name"]
        self._until(lambda: self._untaken(name, config))
        self._stale = Deadline(STALE_SECONDS)
        self._until(lambda: self._idle(name))
        return len(self._status(name)["tasks"])

    def _untaken(self, name: str, config: Mapping[str, str]) -> str | None:
        """None if Connect has accepted the configuration, otherwise why it could not yet."""
        # Do not send an unchanged configuration: Connect would restart the connector.
        path = f"/connectors/{name}/config"
        current = self._client.get(path)
        differences = _differences(current.json(), config) if current.is_success else ""
        if current.is_success and not (differences and self._update):
            if differences:
                log.warning(
                    "the connector differs from its file and stays as it is; provision --update-connector changes it",
                    connector=name,
                    differences=differences,
                )
            return None
        answer = self._client.put(path, json=dict(config))
        if answer.is_success:
            log.info(
                "updated the connector" if differences else "created the connector",
                connector=name,
                **({"differences": differences} if differences else {}),
            )
            return None
        message = _message(answer)
        if answer.status_code in STARTING or answer.is_server_error:
            return f"it answers {answer.status_code}: {message}"
        raise ConnectorRefused(f"Connect at {self._address} refuses connector {name} ({answer.status_code}): {message}")

    def _idle(self, name: str) -> str | None:
        """None if the connector and its tasks (at least one) run, otherwise which of them do not."""
        status = self._status(name)
        parts = [("connector", status["connector"]), *((f"task {task['id']}", task) for task in status["tasks"])]
        problems = [_state(what, part) for what, part in parts if part["state"] != RUNNING]
        if not status["tasks"]:
            problems.append("no task yet")
        failed = any(part["state"] == FAILED for _, part in parts)
        self._failed = (self._failed or Deadline(FAILED_SECONDS)) if failed else None
        if self._failed is not None and self._failed.passed():
            raise ConnectorFailed(
                f"connector {name}: {', '.join(problems)}; correct the cause, then restart it: "
                f"curl -X POST '{self._address}/connectors/{name}/restart?includeTasks=true&onlyFailed=true'"
            )
        if problems and not failed and self._stale.passed():
            self._restart(name)
        return f"{name}: {', '.join(problems)}" if problems else None

    def _restart(self, name: str) -> None:
        """Restart a connector, so that the worker writes its state again.

        A worker writes states to a topic and retries failed writes. If the topic's leader moves between two writes,
        the older state may arrive last, and a running connector is shown as UNASSIGNED until its state changes.
        """
        log.info("the connector's state does not change: restarting the connector", connector=name)
        self._client.post(f"/connectors/{name}/restart", params={"includeTasks": "true"})
        self._stale = Deadline(STALE_SECONDS)

    def _status(self, name: str) -> dict[str, Any]:
        answer = self._client.get(f"/connectors/{name}/status")
        if not answer.is_success:  # the status topic does not have it yet
            return {"connector": {"state": f"status {answer.status_code}"}, "tasks": []}
        status: dict[str, Any] = answer.json()
        return status

    def _until(self, missing: Callable[[], str | None]) -> None:
        def attempt() -> None:
            try:
                need(missing())
            except httpx.HTTPError as error:
                raise NotYet(f"it does not answer ({str(error) or type(error).__name__})") from error
            except ValueError as error:  # a proxy's page instead of JSON
                raise NotYet(f"the server at this address is not Kafka Connect ({error})") from error

        self._wait.until(
            attempt,
            lambda missing: ConnectUnavailable(
                f"Connect at {self._address} is not ready after {self._wait.deadline.seconds:g} s: {missing}; read "
                "its log, or correct --connect-url",
                address=self._address,
            ),
        )


def connect_client(url: str) -> httpx.Client:
    """A client of Connect's REST API."""
    return httpx.Client(base_url=url, timeout=REQUEST_SECONDS)


def _state(what: str, part: Mapping[str, Any]) -> str:
    # A failed task has a Java stack trace, whose first line names the cause.
    reason = str(part.get("trace") or "").strip().partition("\n")[0]
    return f"{what} is {part['state']}{f' ({reason})' if reason else ''}"


def _differences(current: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """What the connector has and the file has not, by name: `tasks.max is 2 (file: 1)`."""
    names = sorted(name for name in {*current, *wanted} if current.get(name) != wanted.get(name))
    return ", ".join(
        f"{name} is {current.get(name, 'not set')} (file: {wanted.get(name, 'not set')})" for name in names
    )


def _message(answer: httpx.Response) -> str:
    try:
        return " ".join(str(answer.json()["message"]).split())
    except (ValueError, KeyError, TypeError):
        return " ".join(answer.text.split())[:200]
