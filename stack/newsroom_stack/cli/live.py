"""The table of `newsroom demo`: the pipeline's figures from the status API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from rich.console import Group
from rich.table import Table
from rich.text import Text

from newsroom_stack.probes import PROBE_SECONDS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from newsroom_stack.ports import Ports

TOP_WORDS = 6


def fetch_figures(ports: Ports) -> dict[str, Any] | None:
    """Ask the status API for the pipeline's figures; None if it does not answer."""
    try:
        response = httpx.get(f"{ports.status_url}/api/v1/pipeline", timeout=PROBE_SECONDS, trust_env=False)
        response.raise_for_status()
    except httpx.HTTPError:
        return None
    figures: dict[str, Any] = response.json()
    return figures


def rows(figures: dict[str, Any] | None, ports: Ports) -> list[tuple[str, str]]:
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
        ("connector lines", _number(figures["connector_lines"])),
        ("lag", lag or "-"),
        addresses,
    ]


def table(figures: dict[str, Any] | None, ports: Ports, message: str) -> RenderableType:
    """The rows for a terminal, with a message below."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for row in rows(figures, ports):
        grid.add_row(*row)
    return Group(grid, Text(message, style="cyan"))


def line(figures: dict[str, Any] | None, ports: Ports) -> str:
    """The rows in one line for a pipe, without the addresses, which do not change."""
    return "; ".join(f"{label}: {text.strip()}" for label, text in rows(figures, ports)[:-1])


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
