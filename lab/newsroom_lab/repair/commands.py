"""The commands `newsroom lab break|check|hint|heal`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import fault_of, faults, places
from newsroom_lab.repair.memory import Memory, home_of
from newsroom_stack.cli.opening import open_stack
from newsroom_stack.cli.render import console
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    import argparse

    from newsroom_lab.repair.fault import Fault
    from newsroom_stack.interface import Stack

# ruff: noqa: PLC0415 - a list of symptoms needs no Kafka client

WIDTH = 110

NEXT = (
    "Find out why, and repair it. 'newsroom lab check' looks whether it works again, 'newsroom lab hint' helps, and "
    "'newsroom lab heal' takes everything back."
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the room's commands."""
    breaker = commands.add_parser("break", help="set a fault into the running stack; without a name, list the symptoms")
    breaker.add_argument("name", metavar="NAME", nargs="?", help="the name or the number of a fault")
    breaker.set_defaults(run=_break)
    for name, action, text in (
        ("check", _check, "send something, and see whether the fault is repaired"),
        ("hint", _hint, "the next of three hints"),
        ("heal", _heal, "take back everything that the fault has made"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=action)


def _break(options: argparse.Namespace) -> int:
    if options.name is None:
        return _list()
    fault = fault_of(options.name)
    stack = _running()
    memory = Memory.begin(home_of(stack.settings), fault.name)
    from newsroom_lab.repair.site import Site, spoken

    site = Site(stack, memory)
    with console().status("breaking something"):
        try:
            spoken(lambda: fault.set(site))
        except StackError as error:
            raise StackError(f"{error}; {fault.name} is set in part only: 'newsroom lab heal' takes it back") from error
        site.set_whole()
    _say("", _text(fault.symptom, stack))
    console().print()
    _say("", NEXT)
    return 0


def _list() -> int:
    stack = open_stack()
    for fault in faults().values():
        _say(f"{fault.number:>3}  {fault.name:<17} ", _text(fault.symptom, stack))
    memory = Memory.read(home_of(stack.settings))
    now = "'newsroom lab break NAME' sets one into the running stack" if memory is None else f"{memory.fault} is set"
    console().print(f"\n{now}")
    return 0


def _check(_: argparse.Namespace) -> int:
    from newsroom_lab.repair.site import Site, spoken
    from newsroom_lab.repair.whole import look

    stack = _running()
    memory = Memory.read(home_of(stack.settings))
    fault = None if memory is None else _fault(memory)
    with console().status("sending something"):
        site = Site(stack, memory or Memory(""))
        result = spoken(lambda: (look if fault is None else fault.check)(site))
    if fault is None:
        console().print("no fault is set; this is the pipeline of the stack:")
    _say("  ", result.what)
    if not result.works:
        console().print("[red]FAIL[/]" if fault is None else f"[red]FAIL[/] {fault.name} is not repaired")
        return 1
    console().print("[green]PASS[/]" if fault is None else f"[green]PASS[/] {fault.name} is repaired")
    if fault is not None:
        _say("  ", fault.cause)
        console().print("'newsroom lab heal' takes away what the fault has made")
    return 0


def _hint(_: argparse.Namespace) -> int:
    stack = open_stack()
    memory = Memory.read(home_of(stack.settings))
    if memory is None:
        raise StackError("no fault is set: 'newsroom lab break' lists them")
    fault = _fault(memory)
    number = min(memory.hints, len(fault.hints) - 1)
    memory.hinted(home_of(stack.settings))
    console().print(f"{fault.name}, hint {number + 1} of {len(fault.hints)}:")
    _say("  ", _text(fault.hints[number], stack))
    if number + 1 == len(fault.hints):
        console().print("docs/lab-repair.md has the solution")
    return 0


def _heal(_: argparse.Namespace) -> int:
    stack = open_stack()
    memory = Memory.read(home_of(stack.settings))
    if memory is None:
        console().print("no fault is set: there is nothing to heal")
        return 0
    from newsroom_lab.repair.site import Site

    with console().status("taking it back"):
        memory = memory.marked(home_of(stack.settings), whole=False)
        done = Site(stack, memory).heal(local=not stack.running())
    if not stack.running():
        raise StackError("no stack runs: its programs were ended; 'newsroom up --detach', then heal again")
    Memory.forget(home_of(stack.settings))
    for line in done:
        console().print(f"  {line}", markup=False, highlight=False)
    console().print(f"{memory.fault} is taken back")
    return 0


def _running() -> Stack:
    stack = open_stack()
    if not stack.running():
        raise StackError("no stack runs: start one with 'newsroom up --detach'")
    return stack


def _fault(memory: Memory) -> Fault:
    """The fault that is set.

    Raises:
        StackError: a part of it is missing, because 'break' or 'heal' did not come to its end.
    """
    if not memory.whole:
        raise StackError(f"{memory.fault} is set in part only: 'newsroom lab heal' takes it back, then set it again")
    return fault_of(memory.fault)


def _text(text: str, stack: Stack) -> str:
    return text.format(**places(stack))


def _say(head: str, text: str) -> None:
    """Print a text in lines of one width under its head."""
    for line in textwrap.wrap(text, WIDTH - len(head), break_long_words=False, break_on_hyphens=False):
        console().print(f"{head}{line}", markup=False, highlight=False)
        head = " " * len(head)
