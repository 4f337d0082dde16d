"""The folders of a stack."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from newsroom_stack.errors import StackError

REPOSITORY = Path(__file__).resolve().parents[2]
"""The clone: the stack runs the services, schemas and Connect configurations of its own checkout."""


SINK_FILE = "test.sink.txt"
"""The file the connector writes, under the lab's name, in Connect's folder."""


@dataclass(frozen=True)
class Layout:
    """The folders of one stack, all below its home."""

    home: Path

    @property
    def data(self) -> Path:
        """What a restart keeps: brokers' logs, the registry's schemas, state of the services, sink files."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """What describes the running stack: its state file and locks."""
        return self.home / "run"

    @property
    def sink_file(self) -> Path:
        """The file the connector writes."""
        return self.data / "connect" / SINK_FILE

    @property
    def consumed(self) -> Path:
        """JSON lines of the avro-consumer's replicas."""
        return self.data / "consumed"

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.logs / f"{name}.log"

    def broker(self, node: int) -> Path:
        """A broker's data."""
        return self.data / f"kafka-{node}"

    def state(self, service: str) -> Path:
        """The state volume of a service: its replicas take their slots there."""
        return self.data / "state" / service

    def delete(self) -> None:
        """Delete what a stack keeps, and nothing else: the home may be a folder that others use, too.

        Raises:
            StackError: something cannot be deleted.
        """
        for folder in (self.data, self.logs, self.run):
            try:
                if folder.exists():
                    shutil.rmtree(folder)
            except OSError as error:
                raise StackError(f"{error.filename or folder} cannot be deleted ({error.strerror})") from error
        with contextlib.suppress(OSError):  # not empty, or not there
            self.home.rmdir()

    def make(self) -> None:
        """Create the folders.

        Raises:
            StackError: the home cannot be written.
        """
        try:
            for folder in (self.data, self.logs, self.run, self.sink_file.parent, self.consumed):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{error.filename or self.home} cannot be written ({error.strerror}): free space or "
                "choose another folder with NEWSROOM_HOME"
            ) from error
