"""Log files that grow while they are read, and that are cut when they are too large."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

POLL_SECONDS = 0.2
"""Pause of a reader after a look that saw nothing new."""

LOG_LIMIT_BYTES = 20 * 1024 * 1024
"""A larger log is moved to `.1`, so one process keeps at most two files. An avro-consumer at full speed fills one in
minutes."""


def cut(log: Path) -> None:
    """Move a log that is too large to `.1` and empty it.

    The writer has it open for appending and continues at the new end. A line that is written within the milliseconds
    of the copy may be lost.
    """
    with contextlib.suppress(OSError):  # there is no log yet, or the disk is full
        if log.stat().st_size > LOG_LIMIT_BYTES:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


class Tail:
    """Reads whole lines of a growing file. A context manager."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb")
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def lines(self) -> Iterator[str]:
        """The lines since the last call."""
        if os.fstat(self._stream.fileno()).st_size < self._stream.tell():
            self._stream.seek(0)
            self._rest = b""
        for line in iter(self._stream.readline, b""):
            self._rest += line
            if line.endswith(b"\n"):
                yield self.rest()

    def rest(self) -> str:
        """The last line, if it has no end yet."""
        text, self._rest = self._rest.decode(errors="replace").rstrip("\r\n"), b""
        return text


def read(files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Each file's name and lines, file by file."""
    for name, path in files.items():
        with Tail(path) as tail:
            yield from ((name, line) for line in tail.lines())
            if rest := tail.rest():
                yield name, rest


def follow(find: Callable[[], Mapping[str, Path]]) -> Iterator[tuple[str, str]]:
    """The old and new lines of all files that `find` returns now or later. The reader ends it."""
    with contextlib.ExitStack() as resources:
        tails: dict[str, Tail] = {}
        # Not `wait_until`: each look may yield several lines.
        while True:
            for name, path in find().items():
                if name not in tails:
                    tails[name] = resources.enter_context(Tail(path))
            quiet = True
            for name, tail in tails.items():
                for line in tail.lines():
                    quiet = False
                    yield name, line
            if quiet:
                time.sleep(POLL_SECONDS)
