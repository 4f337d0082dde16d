"""The consoles and the table of `newsroom ps`: coloured on a terminal, plain in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from newsroom_stack.interface import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsroom_stack.interface import Instance

MIB = 1024**2

console = Console(highlight=False, soft_wrap=True)
"""Standard output."""

errors = Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error."""

STATE_STYLE = {
    State.RUNNING: "green",
    State.PAUSED: "yellow",
    State.STARTING: "cyan",
    State.STOPPING: "cyan",
    State.EXITED: "red",
    State.KILLED: "red",
    State.FAILED: "bold red",
    State.GONE: "bold red",
}


def instances_table(instances: Sequence[Instance]) -> Table:
    """The table of `newsroom ps`, with the total memory in its last line."""
    table = Table(box=None, pad_edge=False, show_footer=True)
    total = sum(instance.memory_bytes for instance in instances)
    table.add_column("NAME", footer="total")
    for heading in ("ROLE", "PID", "STATE", "READY"):
        table.add_column(heading)
    table.add_column("RESTARTS", justify="right")
    table.add_column("MEMORY", justify="right", footer=f"{total / MIB:.0f} MiB")
    table.add_column("ADDRESS")
    for instance in instances:
        style = STATE_STYLE[instance.state]
        table.add_row(
            instance.name,
            instance.role,
            str(instance.pid or "-"),
            f"[{style}]{instance.state.value}[/]",
            "[green]yes[/]" if instance.ready else "no",
            str(instance.restarts),
            f"{instance.memory_bytes / MIB:.0f} MiB" if instance.memory_bytes else "-",
            instance.address,
        )
    return table


def plain_instances(instances: Sequence[Instance]) -> list[str]:
    """The same table for a pipe, without colour and without cutting anything off."""
    lines = [f"{'NAME':<20} {'ROLE':<9} {'PID':>7} {'STATE':<9} {'READY':<5} {'RESTARTS':>8} {'MEMORY':>10} ADDRESS"]
    lines += [
        f"{instance.name:<20} {instance.role:<9} {instance.pid or '-':>7} {instance.state.value:<9} "
        f"{'yes' if instance.ready else 'no':<5} {instance.restarts:>8} "
        f"{instance.memory_bytes / MIB:>6.0f} MiB {instance.address}"
        for instance in instances
    ]
    lines.append(f"total memory {sum(instance.memory_bytes for instance in instances) / MIB:.0f} MiB")
    return lines
