"""The folders of a stack."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from newsroom_stack.errors import StackError

REPOSITORY = Path(__file__).resolve().parents[2]
"""The clone: the stack runs the services, schemas and Connect configurations of its own checkout."""

SINK_FILE = "test.sink.txt"
"""The file that the connector writes, under the lab's name, in Connect's folder."""


class Layout:
    """The folders of one stack, all below its home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        """What a restart keeps: brokers' logs, the registry's schemas, state of the services, sink files."""
        self.logs = home / "logs"
        """One log for each process."""
        self.run_file = home / "run" / "stack.json"
        """The state file of the running stack."""
        self.lock = home / "run" / "supervisor.lock"
        self.sink_file = self.data / "connect" / SINK_FILE
        """The file that the connector writes."""
        self.consumed = self.data / "consumed"
        """JSON lines of the avro-consumer's replicas."""

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.logs / f"{name}.log"

    def broker(self, node: int) -> Path:
        """A broker's data."""
        return self.data / f"kafka-{node}"

    def state(self, service: str) -> Path:
        """The state volume of a service, where its replicas take their slots."""
        return self.data / "state" / service

    def delete(self) -> None:
        """Delete what a stack keeps, and nothing else: other programs may use the home too.

        Raises:
            StackError: something cannot be deleted.
        """
        for folder in (self.data, self.logs, self.run_file.parent):
            try:
                if folder.exists():
                    shutil.rmtree(folder)
            except OSError as error:
                raise StackError(f"{error.filename or folder} cannot be deleted ({error.strerror})") from error
        with contextlib.suppress(OSError):  # it is not empty, or does not exist
            self.home.rmdir()

    def make(self) -> None:
        """Create the folders.

        Raises:
            StackError: the home is not writable.
        """
        try:
            for folder in (self.logs, self.run_file.parent, self.sink_file.parent, self.consumed):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{error.filename or self.home} cannot be written ({error.strerror}): free space or "
                "choose another folder with NEWSROOM_HOME"
            ) from error
