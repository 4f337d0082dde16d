"""The display of `newsroom demo`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from rich.live import Live

from newsroom_stack.cli.live import fetch_figures, line, table

if TYPE_CHECKING:
    from rich.console import Console

    from newsroom_stack.ports import Ports

REDRAW_SECONDS = 1.0
"""The status API takes a snapshot every second."""

LINE_SECONDS = 5.0
"""Interval between two lines of figures in a pipe."""

JOIN_SECONDS = 5.0
"""Longest wait for the display's thread, which may be asking the status API."""


class Display:
    """Shows the pipeline's figures: a live table on a terminal, lines in a pipe. `farewell` says what Ctrl-C does."""

    def __init__(self, console: Console, ports: Ports, farewell: str) -> None:
        self._console = console
        self._ports = ports
        self._farewell = farewell
        self._message = "waiting for the first headlines"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(JOIN_SECONDS)
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Show the story's progress: in the last line of the table, or as a line of its own."""
        self._message = text
        if self._live is None:
            self._console.print(text, markup=False)

    def announce(self, text: str) -> None:
        """Print a line that stays: above the table on a terminal."""
        self._message = self._farewell
        self._console.print(text, markup=False)

    def _run(self) -> None:
        interval = REDRAW_SECONDS if self._live else LINE_SECONDS
        while not self._stop.wait(interval):
            figures = fetch_figures(self._ports)
            if self._live is None:
                self._console.print(line(figures, self._ports), markup=False)
            else:
                self._live.update(table(figures, self._ports, self._message), refresh=True)
