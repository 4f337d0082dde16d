"""The stack that the settings choose: opening it, starting it with its progress shown, and ending it in order."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from newsroom_stack.cli.render import console, escaped
from newsroom_stack.errors import StackError
from newsroom_stack.settings import load_stack_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.interface import Owner, Show, Stack
    from newsroom_stack.jvm.artifacts import Artifacts
    from newsroom_stack.settings import StackSettings

# ruff: noqa: PLC0415 - a command imports what it alone needs: `newsroom --help` and `ps` take a quarter of a second


def open_stack() -> Stack:
    """Return the stack that the settings choose."""
    settings = load_stack_settings()
    if settings.docker:
        from newsroom_stack.containers.stack import ContainerStack

        return ContainerStack(settings)
    from newsroom_stack.processes.stack import ProcessStack

    return ProcessStack(settings)


def download(settings: StackSettings) -> Artifacts:
    """Download what is missing, and verify all of it."""
    from newsroom_stack.jvm.artifacts import ensure_artifacts
    from newsroom_stack.jvm.progress import make_progress

    return ensure_artifacts(settings.cache, make_progress(console()))


@contextlib.contextmanager
def shown(stack: Stack) -> Iterator[Show]:
    """Download missing files, then show the start's progress: one live line, or plain lines in a pipe."""
    if not stack.settings.docker:
        from newsroom_stack.environment import environment_notes

        download(stack.settings)
        for note in environment_notes():
            console().print(note, markup=False)
    if not console().is_terminal:
        yield lambda line: console().print(line, markup=False)
        return
    with console().status("starting") as status:

        def show(line: str) -> None:
            if ": ready in" in line:
                console().print(f"[green]✓[/] {escaped(line)}")
            elif not line.startswith("error:"):
                status.update(escaped(line))

        yield show


def start_stack(stack: Stack, run_for: float | None = None) -> Owner:
    """Start the stack in the foreground, showing progress."""
    with shown(stack) as show:
        return stack.start(run_for=run_for, show=show)


@contextlib.contextmanager
def owned(owner: Owner) -> Iterator[None]:
    """Stop the stack in order when the block ends. SIGTERM and Ctrl-C end the block."""
    try:
        yield
    except KeyboardInterrupt:
        console().print("stopping everything in order; a second Ctrl-C does not make it faster")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        code = owner.stop()
    if code < 0:
        raise StackError(
            f"the supervisor was ended by {signal.Signals(-code).name}, and the stack with it: 'newsroom up' starts it "
            "again with its data"
        )
    if code:
        raise StackError(
            "the stack failed: 'newsroom logs supervisor' says why, unless the disk is full (newsroom doctor)"
        )


@contextlib.contextmanager
def left_running() -> Iterator[None]:
    """Watch a stack that another command started. Ctrl-C ends the block and not the stack."""
    try:
        yield
    except KeyboardInterrupt:
        console().print("the stack goes on running, as it did before")
