"""Progress of a download: a bar on a terminal, a line every few seconds in a pipe, or silence."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from typing_extensions import override

if TYPE_CHECKING:
    from rich.console import Console

LINE_SECONDS = 3.0
"""Shortest interval between two lines in a pipe."""

MIB = 1024**2


class DownloadProgress:
    """What a download reports, from several threads. This base class shows nothing."""

    def start(self, files: int, total_bytes: int) -> None:
        """The download of these files begins; `total_bytes` is an estimate."""

    def advance(self, count: int) -> None:
        """More bytes have arrived. A failed attempt takes its bytes back with a negative count."""

    def say(self, line: str) -> None:
        """Show a message."""

    def done(self, *, complete: bool) -> None:
        """The download has ended: successfully if `complete`."""


class BarProgress(DownloadProgress):
    """One bar for all files, on a terminal."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._files = 0

    @override
    def start(self, files: int, total_bytes: int) -> None:
        self._files = files
        self._bar.start()
        self._task = self._bar.add_task(f"downloading {files} files", total=total_bytes)

    @override
    def advance(self, count: int) -> None:
        self._bar.advance(self._task, count)

    @override
    def say(self, line: str) -> None:
        self._bar.console.print(line)

    @override
    def done(self, *, complete: bool) -> None:
        self._bar.stop()
        if complete:
            self._bar.console.print(f"[green]✓[/] downloaded and verified {self._files} files")


class LineProgress(DownloadProgress):
    """Prints a plain line every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = self._received = self._files = 0
        self._next = 0.0

    @override
    def start(self, files: int, total_bytes: int) -> None:
        self._files, self._total = files, total_bytes
        self.say(f"downloading {files} files, {total_bytes / MIB:.0f} MiB")

    @override
    def advance(self, count: int) -> None:
        with self._lock:
            self._received += count
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + LINE_SECONDS
        self.say(f"downloaded {self._received / MIB:.0f} of {self._total / MIB:.0f} MiB")

    @override
    def say(self, line: str) -> None:
        print(line, flush=True)  # noqa: T201 - plain lines for a pipe

    @override
    def done(self, *, complete: bool) -> None:
        if complete:
            self.say(f"downloaded and verified {self._files} files")


def make_progress(console: Console) -> DownloadProgress:
    """A bar on a terminal, lines otherwise."""
    return BarProgress(console) if console.is_terminal else LineProgress()
