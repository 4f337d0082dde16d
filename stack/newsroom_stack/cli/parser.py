"""How the commands of `newsroom` are declared, and the parser that reads them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from newsroom import __version__
from newsroom_stack.catalogue import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RUN, LOOK, BREAK, READ_AGAIN = "Run", "Look", "Break", "Records and groups"
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


def command(group: str, *arguments: tuple[tuple[str, ...], dict[str, Any]], of: str = "") -> Callable[[RunT], RunT]:
    """Make a function a command of its own name. It gets each argument by its name, and may return the exit code.

    A command `of` a family has two words: `groups_list` of `groups` is `newsroom groups list`.
    """

    def register(run: RunT) -> RunT:
        name = f"{of} {run.__name__.removeprefix(f'{of}_')}" if of else run.__name__
        COMMANDS[name] = Command(group, run, arguments)
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
    from newsroom_stack.cli.opening import open_stack  # noqa: PLC0415 - a completion's need alone

    return [*services(), *(instance.name for instance in open_stack().ps())]


def topics(**_: object) -> Iterable[str]:
    """The topics of the cluster; nothing while it does not answer."""
    from newsroom_stack.cluster.names import topic_names  # noqa: PLC0415 - as above

    return topic_names()


def consumer_groups(**_: object) -> Iterable[str]:
    """The groups of the cluster; nothing while it does not answer."""
    from newsroom_stack.cluster.names import group_names  # noqa: PLC0415 - as above

    return group_names()


NAME = argument(
    "name", metavar="NAME", help="an instance (avro-consumer-2) or a service (avro-consumer)", completer=instances
)
JSON = argument("--json", dest="as_json", action="store_true", help="print JSON")
GROUP = argument("group", metavar="GROUP", help="the group's id", completer=consumer_groups)
BOOTSTRAP = argument(
    "--bootstrap-servers",
    dest="bootstrap",
    metavar="SERVERS",
    help="brokers of another cluster, as host:port[,host:port…]; NEWSROOM_… variables name its login and certificates",
)
REGISTRY = argument("--registry-url", dest="registry", metavar="URL", help="schema registry of that cluster")
EXECUTE = argument("--execute", action="store_true", help="do it; without this option only show what would happen")


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    lines = []
    for group in (RUN, LOOK, READ_AGAIN, BREAK):
        lines += ["", f"{group}:"]
        lines += [f"  {name:<16} {entry.summary}" for name, entry in COMMANDS.items() if entry.group == group]
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
    parser.set_defaults(command=None)
    subparsers = parser.add_subparsers(metavar="COMMAND", help=argparse.SUPPRESS)
    families: dict[str, Any] = {}
    for name, entry in COMMANDS.items():
        family, _, word = name.rpartition(" ")
        if family and family not in families:
            families[family] = _family(subparsers, family)
        _add(families.get(family, subparsers), name, word, entry)
    return parser


PASSED_ON = frozenset({"kafka", "lab", "explain"})
"""Commands that pass everything on to another program."""


def _family(subparsers: Any, family: str) -> Any:  # noqa: ANN401 - argparse does not name its type
    """The parser of a family's second word."""
    members = {name.split()[1]: entry for name, entry in COMMANDS.items() if name.startswith(f"{family} ")}
    lines = [f"  {word:<10} {entry.summary}" for word, entry in members.items()]
    parser = subparsers.add_parser(
        family,
        prog=f"newsroom {family}",
        usage=f"newsroom {family} COMMAND [ARGUMENT…]",
        description="Commands:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser.add_subparsers(metavar="COMMAND", help=argparse.SUPPRESS, required=True)


def _add(subparsers: Any, name: str, word: str, entry: Command) -> None:  # noqa: ANN401 - as above
    summary = entry.summary.partition("\n\n")[0]
    subparser = subparsers.add_parser(word, prog=f"newsroom {name}", description=summary, allow_abbrev=False)
    subparser.set_defaults(command=name)
    for names, options in entry.arguments:
        completer = options.get("completer")
        added = subparser.add_argument(*names, **{key: options[key] for key in options if key != "completer"})
        added.completer = completer


def without_options_of_a_tool(arguments: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Everything after `newsroom kafka` is for Kafka's tool: argparse would take its options for its own."""
    place = next((number for number, word in enumerate(arguments, 1) if not word.startswith("-")), 0)
    if place and arguments[place - 1] in PASSED_ON:
        return arguments[:place], {"arguments": arguments[place:]}
    return arguments, {}
