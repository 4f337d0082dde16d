"""`newsroom top`: rates, lag and owners, living in the terminal, with keys to scale and break the services."""

from __future__ import annotations

import contextlib
import select
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from newsroom.topics import REGISTRY_GROUPS
from newsroom_stack.cli.parser import LOOK, command
from newsroom_stack.cli.render import console
from newsroom_stack.cli.status import Assignment, assignment, compact, events
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from newsroom_stack.interface import Instance, Stack

# ruff: noqa: PLC0415 - a command imports what it alone needs

MOST_GROUPS = 8
"""How many groups are shown: those whose members are asked for with each snapshot."""
RECONNECT_SECONDS = 1.0
KEY_SECONDS = 0.25
"""How long the view waits for a key before it draws again."""
KEYS = "↑ ↓ choose · + - scale · p pause · r resume · k kill · s restart · q quit"
HIDDEN = (REGISTRY_GROUPS, "_")
"""Prefixes of internal groups."""


@dataclass
class View:
    """What is shown. A thread fills it, the terminal's thread draws it; each field is replaced as a whole."""

    figures: dict[str, Any] | None = None
    groups: list[Assignment] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    chosen: int = 0
    message: str = ""
    silent: str = "the status API has not answered yet"
    """Why the figures are old; empty while they are not."""


@command(LOOK)
def top() -> int:
    """Watch rates, lag and owners live; keys scale, pause, kill and resume. In a pipe: plain lines, once."""
    from newsroom_stack.cli.opening import open_stack

    stack = open_stack()
    if not (console().is_terminal and sys.stdin.isatty()):
        return once(stack)
    _live(stack)
    return 0


def once(stack: Stack) -> int:
    """Print the newest figures as plain lines."""
    url = stack.ports.status_url
    try:
        figures = next(events(url), None)
    except OSError as error:
        raise StackError(f"the status API at {url} does not answer ({error}): 'newsroom ps' shows what runs") from error
    if figures is None:
        raise StackError(f"the status API at {url} ended before it sent a snapshot")
    for line in lines(figures, groups_of(url, figures)):
        console().print(line, markup=False)
    return 0


def groups_of(url: str, figures: dict[str, Any]) -> list[Assignment]:
    """Return the members of the groups in an event's figures."""
    names = [name for name in figures["lag"] if not name.startswith(HIDDEN)][:MOST_GROUPS]
    return [result for name in names if (result := assignment(url, name)) is not None]


def lines(figures: dict[str, Any], groups: list[Assignment]) -> Iterator[str]:
    """The figures in plain lines: a line for each topic, for each group, and for each member."""
    for topic, rate in figures["produced_per_second"].items():
        yield f"topic {topic}: {_rate(rate)} in"
    for group in groups:
        lag = figures["lag"].get(group.group)
        rate = figures["consumed_per_second"].get(group.group)
        yield f"group {group.group}: {group.state}, {_rate(rate)} out, lag {_number(lag)}"
        for name, places in group.owners.items():
            yield f"  {name}: {', '.join(compact(places)) or 'no partition'}"


def _live(stack: Stack) -> None:
    from rich.live import Live

    view, ended = View(), threading.Event()
    follower = threading.Thread(target=_follow, args=(stack, view, ended), name="top", daemon=True)
    follower.start()
    with (
        contextlib.suppress(KeyboardInterrupt),
        _keys() as read_key,
        ThreadPoolExecutor(1) as actions,
        Live(console=console(), auto_refresh=False, screen=True) as live,
    ):
        while True:
            live.update(picture(view), refresh=True)
            key = read_key()
            if key == "q":
                break
            if key in {"up", "down"}:
                view.chosen += 1 if key == "down" else -1
            elif key and (action := action_of(key, stack, view)) is not None:
                actions.submit(_perform, view, *action)
    ended.set()


def _follow(stack: Stack, view: View, ended: threading.Event) -> None:
    """Take in each snapshot until the view ends; connect again when the status API restarts."""
    url = stack.ports.status_url
    while not ended.is_set():
        try:
            for figures in events(url):
                view.groups, view.figures, view.silent = groups_of(url, figures), figures, ""
                view.instances = stack.ps()
                if ended.is_set():
                    return
            view.silent = "the status API ended"
        except (OSError, ValueError, StackError) as error:
            view.silent = f"the status API does not answer ({error})"
            with contextlib.suppress(StackError):
                view.instances = stack.ps()
        ended.wait(RECONNECT_SECONDS)


def action_of(key: str, stack: Stack, view: View) -> tuple[str, Callable[[], list[str]]] | None:
    """What a key does to the chosen instance: a line that says it, and a function that does it. None: nothing."""
    if not view.instances:
        return None
    chosen = view.instances[view.chosen % len(view.instances)]
    name, service = chosen.name, chosen.service
    if key in {"+", "-"}:
        replicas = sum(instance.service == service for instance in view.instances) + (1 if key == "+" else -1)
        return f"scaling {service} to {replicas}", lambda: stack.scale(service, replicas)
    verbs: dict[str, tuple[str, Callable[[str], list[str]]]] = {
        "p": ("pausing", stack.pause),
        "r": ("resuming", stack.resume),
        "k": ("killing", stack.kill),
        "s": ("restarting", stack.restart),
    }
    if key not in verbs:
        return None
    verb, act = verbs[key]
    return f"{verb} {name}", lambda: act(name)


def _perform(view: View, text: str, act: Callable[[], list[str]]) -> None:
    view.message = f"{text} …"
    try:
        view.message = "; ".join(act()) or text
    except StackError as error:
        view.message = f"error: {error}"


def picture(view: View) -> RenderableType:
    """Draw the view."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    figures = view.figures or {"produced_per_second": {}, "consumed_per_second": {}, "lag": {}}
    topics = Table(box=None, pad_edge=False, header_style="bold")
    topics.add_column("TOPIC")
    topics.add_column("IN", justify="right")
    for topic, rate in figures["produced_per_second"].items():
        topics.add_row(Text(topic), _rate(rate))
    groups = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("GROUP", "left"), ("STATE", "left"), ("OUT", "right"), ("LAG", "right"), ("OWNERS", "left")):
        groups.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for group in view.groups:
        owners = "\n".join(f"{name}: {', '.join(compact(places)) or '-'}" for name, places in group.owners.items())
        rate, lag = figures["consumed_per_second"].get(group.group), figures["lag"].get(group.group)
        state = Text(group.state, style="green" if group.state == "Stable" else "yellow")
        groups.add_row(Text(group.group), state, _rate(rate), _number(lag), Text(owners or "-"))
    processes = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("INSTANCE", "STATE", "READY"):
        processes.add_column(name)
    for place, instance in enumerate(view.instances):
        style = "reverse" if place == view.chosen % len(view.instances) else ""
        processes.add_row(Text(instance.name), instance.state.value, "yes" if instance.ready else "no", style=style)
    side = Table.grid(padding=(0, 4))
    side.add_row(processes, topics)
    moment = figures.get("collected_at", "")[11:19]
    status = Text(f"old: {view.silent}", style="red") if view.silent else Text(f"snapshot {moment} UTC", style="green")
    keys = Text(KEYS, style="dim")
    if view.instances:
        keys = Text(f"{view.instances[view.chosen % len(view.instances)].name}: ", style="bold").append_text(keys)
    # What does not fit is cut off below, so the keys and what they did stand above.
    return Group(status, keys, Text(view.message, style="cyan"), groups, Text(), side)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Read single keys from the terminal, which is as before afterwards."""
    import os
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def read() -> str:
        if not select.select([descriptor], [], [], KEY_SECONDS)[0]:
            return ""
        return {"\x1b[A": "up", "\x1b[B": "down"}.get(text := os.read(descriptor, 8).decode(errors="ignore"), text)

    try:
        yield read
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _rate(value: float | None) -> str:
    return "- /s" if value is None else f"{value:.1f} /s"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
