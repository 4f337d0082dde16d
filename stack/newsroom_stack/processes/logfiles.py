"""Log files that grow while they are read, and that are cut when they have grown too large."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

FOLLOW_SECONDS = 0.2
"""Between two looks at a file that had nothing new."""

LOG_LIMIT_BYTES = 20 * 1024 * 1024
"""A log that is larger is moved to `.1`: two files bound what one process keeps. An avro-consumer at full speed fills
one in minutes."""


def cut(log: Path) -> None:
    """Move a log that is too large to `.1` and empty it.

    Whoever writes it goes on at its new end, as it was opened for appending; a line that is written within the
    milliseconds of the copy may be lost.
    """
    with contextlib.suppress(OSError):  # not there, or a full disk: then there is nothing to gain
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
        """The lines that have come since the last call."""
        if os.fstat(self._stream.fileno()).st_size < self._stream.tell():
            self._stream.seek(0)
            self._rest = b""
        for line in iter(self._stream.readline, b""):
            self._rest += line
            if line.endswith(b"\n"):
                yield self.rest()

    def rest(self) -> str:
        """What has come of a line that has no end yet."""
        text, self._rest = self._rest.decode(errors="replace").rstrip("\r\n"), b""
        return text


def follow(path: Path) -> Iterator[str | None]:
    """Lines of a growing file as they come; None whenever there is none for now."""
    with Tail(path) as tail:
        while True:
            yield from tail.lines()
            yield None
            time.sleep(FOLLOW_SECONDS)


def read_all(files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Each file's name and lines, file by file."""
    for name, path in files.items():
        with Tail(path) as tail:
            yield from ((name, line) for line in tail.lines())
            if rest := tail.rest():
                yield name, rest


def follow_all(find: Callable[[], Mapping[str, Path]]) -> Iterator[tuple[str, str]]:
    """Lines of all files as they come, also of those that are found later; ends when its reader stops."""
    with contextlib.ExitStack() as opened:
        tails: dict[str, Tail] = {}
        while True:
            for name, path in find().items():
                if name not in tails:
                    tails[name] = opened.enter_context(Tail(path))
            quiet = True
            for name, tail in tails.items():
                for line in tail.lines():
                    quiet = False
                    yield name, line
            if quiet:
                time.sleep(FOLLOW_SECONDS)
