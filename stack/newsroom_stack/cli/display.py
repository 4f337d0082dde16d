"""The display of `newsroom demo`: the pipeline's figures, which the status API has."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from newsroom_stack.cli.status import ask

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from newsroom_stack.ports import Ports

TOP_WORDS = 6

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
                self._console.print(_line(figures, self._ports), markup=False)
            else:
                self._live.update(_table(figures, self._ports, self._message), refresh=True)


def fetch_figures(ports: Ports) -> dict[str, Any] | None:
    """Ask the status API for the pipeline's figures; None if it does not answer."""
    return ask(ports.status_url, "/api/v1/pipeline")


def _rows(figures: dict[str, Any] | None, ports: Ports) -> list[tuple[str, str]]:
    """The table's rows: label and figures."""
    addresses = ("addresses", f"page {ports.status_url}  brokers {ports.bootstrap}  registry {ports.registry_url}")
    if figures is None:
        return [("figures", "the status API does not answer yet"), addresses]
    records, stages = figures["records"], figures["stages"]
    top = ", ".join(f"{row['word']} {row['count']}" for row in figures["top_words"][:TOP_WORDS])
    last = ", ".join(f"{row['word']} {row['value']}" for row in figures["last_joined"][:3])
    lag = ", ".join(f"{group} {_number(count)}" for group, count in sorted(figures["lag"].items()))
    return [
        ("records in", f"news {_number(records['news'])}, mytopic {_number(records['mytopic'])}"),
        ("consumed", _number(stages["consumer"]["consumed"])),
        ("words counted", f"{_number(figures['words_counted'])}, {_number(figures['distinct_words'])} different"),
        ("top words", top or "-"),
        ("joined", f"{_number(figures['joined_total'])}  {last}"),
        ("connector", f"{_number(figures['connector_committed'])} committed"),
        ("lag", lag or "-"),
        addresses,
    ]


def _table(figures: dict[str, Any] | None, ports: Ports, message: str) -> RenderableType:
    """The rows for a terminal, with a message below."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for row in _rows(figures, ports):
        grid.add_row(*row)
    return Group(grid, Text(message, style="cyan"))


def _line(figures: dict[str, Any] | None, ports: Ports) -> str:
    """The rows in one line for a pipe, without the addresses, which do not change."""
    return "; ".join(f"{label}: {text.strip()}" for label, text in _rows(figures, ports)[:-1])


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
