"""The consoles and the table of `newsroom ps`: coloured on a terminal, plain in a pipe.

rich is imported at the first use of a console. `newsroom ps` and `--help` use none: the import takes longer than both.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from newsroom_stack.interface import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from newsroom_stack.interface import Instance

MIB = 1024**2

STATE_COLOUR = {
    State.RUNNING: 32,
    State.PAUSED: 33,
    State.STARTING: 36,
    State.STOPPING: 36,
    State.EXITED: 31,
    State.KILLED: 31,
    State.FAILED: 31,
    State.GONE: 31,
}
"""Numbers of ANSI colours: green, yellow, cyan, red."""


@cache
def console() -> Console:
    """Standard output."""
    return _console(stderr=False)


@cache
def errors() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415 - see above

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def escaped(text: str) -> str:
    """The text such that the console shows its square brackets as they are."""
    from rich.markup import escape  # noqa: PLC0415 - see above

    return escape(text)


def wants_colour() -> bool:
    """Whether standard output is a terminal whose user has not switched colours off (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table: with rich on a terminal, as aligned lines in a pipe. `right` names the columns of numbers."""
    texts = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    if console().is_terminal:
        from rich.table import Table  # noqa: PLC0415 - see above
        from rich.text import Text  # noqa: PLC0415 - see above

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in texts:
            table.add_row(*map(Text, row))
        console().print(table, soft_wrap=False)
        return
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    for row in (list(columns), *texts):
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        )
        console().print("  ".join(cells).rstrip(), markup=False)


def instances_table(instances: Sequence[Instance], *, colour: bool) -> Iterator[str]:
    """The lines of `newsroom ps`: one per instance, the total memory, and why an instance is not ready."""
    yield f"{'NAME':<20} {'ROLE':<9} {'PID':>7} {'STATE':<9} {'READY':<5} {'RESTARTS':>8} {'MEMORY':>10} ADDRESS"
    for instance in instances:
        state = f"{instance.state.value:<9}"
        if colour:
            state = f"\x1b[{STATE_COLOUR[instance.state]}m{state}\x1b[0m"
        yield (
            f"{instance.name:<20} {instance.role:<9} {instance.pid or '-':>7} {state} "
            f"{'yes' if instance.ready else 'no':<5} {instance.restarts:>8} "
            f"{instance.memory_bytes / MIB:>6.0f} MiB {instance.address}"
        )
    yield f"total memory {sum(instance.memory_bytes for instance in instances) / MIB:.0f} MiB"
    for instance in instances:
        if instance.missing:
            yield f"{instance.name} is not ready: {instance.missing}"
