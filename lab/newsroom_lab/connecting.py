"""Connectors of an experiment's own, through the REST interface of the stack's Connect worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

CONFLICT = 409
"""The worker is rebalancing: ask again."""


class FileSink:
    """A connector that writes the values of a topic to a file in the worker's folder. Both are deleted at the end."""

    def __init__(self, lab: Lab, topic: str, suffix: str = "", *, file: str = "") -> None:
        self._lab = lab
        self.name = lab.name(suffix)
        self.group = f"connect-{self.name}"
        self.url = f"{connect_url(lab)}/connectors/{self.name}"
        self.file = file or f"{lab.stack.execute('connect', 'pwd').strip()}/{self.name}.txt"
        self._config = {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "tasks.max": "1",
            "topics": topic,
            "file": self.file,
        }

    def create(self, **config: str) -> None:
        """Create it and wait until its task has started. `value_converter` is the setting `value.converter`."""
        lab = self._lab
        lab.forget_group(self.group)
        lab.finally_do(lambda: lab.stack.execute("connect", "rm", "-f", self.file))
        lab.finally_do(self.delete)
        settings = self._config | {name.replace("_", "."): value for name, value in config.items()}
        answer = lab.ask(f"{self.url}/config", "PUT", settings)
        if answer.status_code == CONFLICT:
            lab.until(
                f"connector {self.name} is created",
                lambda: lab.quietly_ask(f"{self.url}/config", "PUT", settings).is_success,
            )
        lab.until(f"connector {self.name} has a task", self.tasks)

    def delete(self) -> None:
        """Delete the connector and leave its file."""
        lab = self._lab
        lab.until(
            f"connector {self.name} is deleted",
            lambda: lab.quietly_ask(self.url, "DELETE").status_code != CONFLICT,
        )

    def tasks(self) -> list[dict[str, Any]]:
        """Its tasks, each with its `state` and, if it has failed, the `trace`."""
        answer = self._lab.quietly_ask(f"{self.url}/status")
        return answer.json()["tasks"] if answer.is_success else []

    def state(self) -> str:
        """The state of the connector: RUNNING, STOPPED, PAUSED."""
        answer = self._lab.quietly_ask(f"{self.url}/status")
        return str(answer.json()["connector"]["state"]) if answer.is_success else ""

    def lines(self) -> list[str]:
        """The lines of its file; none while there is no file."""
        try:
            return self._lab.stack.execute("connect", "cat", self.file).splitlines()
        except StackError:
            return []


def connect_url(lab: Lab) -> str:
    """The address of the Connect worker."""
    return f"http://localhost:{lab.ports.connect}"
