"""How the commands of `newsroom` are declared, and the parser that reads them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from newsroom import __version__
from newsroom_stack.catalogue import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RUN, LOOK, BREAK = "Run", "Look", "Break"
"""Groups of commands in the help."""


@dataclass(frozen=True)
class Command:
    """A command: its group in the help, its function and the arguments that argparse reads for it."""

    group: str
    run: Callable[..., int | None]
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...]

    @property
    def summary(self) -> str:
        """The function's docstring, which is the command's help."""
        return (self.run.__doc__ or "").strip()


COMMANDS: dict[str, Command] = {}
"""In the order of the help."""

RunT = TypeVar("RunT", bound="Callable[..., int | None]")


def command(group: str, *arguments: tuple[tuple[str, ...], dict[str, Any]]) -> Callable[[RunT], RunT]:
    """Make a function a command of its own name. It gets each argument by its name, and may return the exit code."""

    def register(run: RunT) -> RunT:
        COMMANDS[run.__name__] = Command(group, run, arguments)
        return run

    return register


def argument(*names: str, **options: Any) -> tuple[tuple[str, ...], dict[str, Any]]:  # noqa: ANN401 - argparse's own
    """An argument, as argparse's `add_argument` takes it; `completer` returns the words that a shell may complete."""
    return names, options


def services(**_: object) -> Iterable[str]:
    """The names of the services."""
    return [kind.name for kind in SERVICES]


def instances(**_: object) -> Iterable[str]:
    """The names of what runs, and of the services."""
    from newsroom_stack.cli.app import open_stack  # noqa: PLC0415 - a completion's need alone

    return [*services(), *(instance.name for instance in open_stack().ps())]


NAME = argument(
    "name", metavar="NAME", help="an instance (avro-consumer-2) or a service (avro-consumer)", completer=instances
)
JSON = argument("--json", dest="as_json", action="store_true", help="print JSON")


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    lines = []
    for group in (RUN, LOOK, BREAK):
        lines += ["", f"{group}:"]
        lines += [f"  {name:<10} {each.summary}" for name, each in COMMANDS.items() if each.group == group]
    parser = argparse.ArgumentParser(
        prog="newsroom",
        usage="newsroom [--docker] COMMAND [ARGUMENT…]",
        description="Run and break a whole Kafka system on this machine.\n" + "\n".join(lines),
        epilog="'newsroom COMMAND --help' shows the arguments of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--docker", action="store_true", help="use containers and docker compose, as NEWSROOM_DOCKER=1 does"
    )
    parser.add_argument("--version", action="version", version=f"newsroom {__version__}", help="show the version")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)
    for name, each in COMMANDS.items():
        subparser = subparsers.add_parser(name, prog=f"newsroom {name}", description=each.summary, allow_abbrev=False)
        for names, options in each.arguments:
            completer = options.get("completer")
            added = subparser.add_argument(*names, **{key: options[key] for key in options if key != "completer"})
            added.completer = completer  # type: ignore[attr-defined]  # where argcomplete looks for it
    return parser


PASSED_ON = frozenset({"kafka", "lab"})
"""Commands that pass everything on to another program."""


def without_options_of_a_tool(arguments: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Everything after `newsroom kafka` is for Kafka's tool: argparse would take its options for its own."""
    place = next((number for number, word in enumerate(arguments, 1) if not word.startswith("-")), 0)
    if place and arguments[place - 1] in PASSED_ON:
        return arguments[:place], {"arguments": arguments[place:]}
    return arguments, {}
