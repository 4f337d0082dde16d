"""The commands of `newsroom`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from newsroom.errors import NewsroomError
from newsroom.proxies import ask_no_proxy_for_loopback
from newsroom.terminal import give_up_output, tolerate_any_terminal
from newsroom_stack.cli.duration import parse_duration
from newsroom_stack.cli.opening import download, left_running, open_stack, owned, shown, start_stack
from newsroom_stack.cli.parser import (
    BREAK,
    COMMANDS,
    JSON,
    LOOK,
    NAME,
    RUN,
    argument,
    build_parser,
    command,
    instances,
    services,
    without_options_of_a_tool,
)
from newsroom_stack.cli.render import console, errors, escaped, instances_table, wants_colour
from newsroom_stack.cli.tools import KAFKA_TOOLS, TOOLS_HELP, tool_class, with_brokers
from newsroom_stack.errors import StackError
from newsroom_stack.ports import Ports
from newsroom_stack.settings import load_stack_settings
from newsroom_stack.waits import deadline_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsroom_stack.cli.display import Display
    from newsroom_stack.interface import Stack

# ruff: noqa: PLC0415 - a command imports what it alone needs: `newsroom --help` and `ps` take a quarter of a second


POLL_SECONDS = 0.5
"""Interval between two checks that the stack still runs while the demo shows figures."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. A `StackError` becomes one line on standard error and exit code 1."""
    tolerate_any_terminal()
    ask_no_proxy_for_loopback()  # what the stack starts inherits it
    signal.signal(signal.SIGTERM, _on_sigterm)
    arguments, rest = without_options_of_a_tool(list(sys.argv[1:] if argv is None else argv))
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = vars(parser.parse_args(arguments))
    if options.pop("docker"):
        os.environ["NEWSROOM_DOCKER"] = "1"
    name = options.pop("command")
    if name is None:
        parser.print_help()
        return 0
    try:
        return COMMANDS[name].run(**options | rest) or 0
    except (StackError, NewsroomError) as error:
        errors().print("[bold red]error:[/]", end=" ")
        errors().print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError as error:
        # The reader closed the pipe (`newsroom logs | head`).
        return give_up_output(error, "newsroom")


def _on_sigterm(*_: object) -> None:
    # Like Ctrl-C: the command stops its own stack in order on the way out.
    raise KeyboardInterrupt


@command(
    RUN,
    argument(
        "--detach", "-d", action="store_true", help="return once everything is ready, and leave the stack running"
    ),
    argument("--for", dest="run_for", metavar="TIME", help="stop automatically this long after startup (60s, 5m)"),
)
def up(*, detach: bool, run_for: str | None) -> None:
    """Start the whole stack, and wait until every part is ready."""
    stack = open_stack()
    seconds = parse_duration(run_for) if run_for else None
    if detach and seconds is None and not stack.settings.docker and stack.running():
        console().print(f"a stack already runs from {stack.settings.home}")
        show_addresses(stack)
        return
    if detach:
        with shown(stack) as show:
            stack.up(run_for=seconds, show=show)
        show_addresses(stack)
        command = "newsroom --docker" if stack.settings.docker else "newsroom"
        console().print(f"running in the background: '{command} ps' shows it, '{command} down' stops it")
        return
    owner = start_stack(stack, seconds)
    with owned(owner):
        show_addresses(stack)
        console().print("Ctrl-C stops everything" if seconds is None else f"stops by itself in {seconds:g} s")
        for line in owner.news():
            console().print(line, markup=False)
    console().print("everything is stopped")


def show_addresses(stack: Stack) -> None:
    """Print the addresses of the stack."""
    ports = stack.ports
    console().print(f"brokers   {ports.bootstrap}")
    console().print(f"registry  {ports.registry_url}")
    console().print(f"connect   http://localhost:{ports.connect}")
    console().print(f"page      {ports.status_url}")
    if stack.settings.docker:
        console().print(f"kafka ui  http://localhost:{ports.ui}")
    if ports.offset:
        console().print('for commands in another shell: eval "$(newsroom env)"')


@command(
    RUN, argument("--for", dest="run_for", metavar="TIME", help="end automatically this long after the story (60s, 5m)")
)
def demo(*, run_for: str | None) -> int:
    """Start the stack if necessary, send records through every stage, and show figures until Ctrl-C."""
    from newsroom_stack.cli.display import Display

    started = time.monotonic()
    seconds = parse_duration(run_for) if run_for else None
    stack = open_stack()
    guest = stack.running()
    farewell = "Ctrl-C ends this view, the stack goes on running" if guest else "Ctrl-C stops everything"
    with left_running() if guest else owned(start_stack(stack)):
        display = Display(console(), stack.ports, farewell)
        return 0 if tell_story(stack, display, started, seconds) else 1


def tell_story(stack: Stack, display: Display, started: float, seconds: float | None) -> bool:
    """Tell the story and show figures until Ctrl-C or the time is over. Return whether every stage worked."""
    from newsroom_stack.pipeline.story import Story

    with display:
        try:
            figures = Story(stack, display.say, started=started).tell()
        except StackError as error:
            display.announce(f"pipeline: failed - {error}")
            return False
        display.announce(figures.line())
        deadline = deadline_after(seconds)
        # Not `wait_until`: the end of the time is a success here, and the end of the stack an error.
        while not deadline.passed():
            if not stack.running():
                raise StackError("the stack ended during the demo: 'newsroom logs supervisor' says why")
            time.sleep(POLL_SECONDS)
    return True


@command(RUN, argument("--wipe", action="store_true", help="delete data and logs too"))
def down(*, wipe: bool) -> None:
    """Stop the stack, or the leftovers of a crashed one."""
    _report(open_stack().down(wipe=wipe))


@command(LOOK, JSON)
def ps(*, as_json: bool) -> None:
    """List every process with its state, memory and address."""
    stack = open_stack()
    instances = stack.ps()
    if as_json:
        print(json.dumps([asdict(instance) for instance in instances], indent=1))  # noqa: T201 - data
    elif not instances:
        print("nothing runs; start it with 'newsroom up'")  # noqa: T201 - rich would double the time
    else:
        print("\n".join(instances_table(instances, colour=wants_colour())))  # noqa: T201 - likewise
    if trouble := stack.trouble():
        print(trouble, file=sys.stderr)  # noqa: T201 - likewise


@command(LOOK, JSON)
def env(*, as_json: bool) -> None:
    """Print the variables that point commands and services at this stack: eval "$(newsroom env)"."""
    settings = load_stack_settings()
    ports = Ports(settings.port_offset)
    variables = {
        "NEWSROOM_HOME": str(settings.home.absolute()),
        "NEWSROOM_PORT_OFFSET": str(ports.offset),
        "NEWSROOM_BOOTSTRAP_SERVERS": ports.bootstrap,
        "NEWSROOM_REGISTRY_URL": ports.registry_url,
    }
    if as_json:
        print(json.dumps(variables, indent=1))  # noqa: T201 - data
    else:
        for name, value in variables.items():
            print(f"export {name}={shlex.quote(value)}")  # noqa: T201 - for a shell


@command(
    LOOK,
    argument("name", metavar="NAME", nargs="?", help="an instance or a service (default: all)", completer=instances),
    argument("--follow", "-f", action="store_true", help="wait for new lines"),
)
def logs(*, name: str | None, follow: bool) -> None:
    """Print the output of the processes."""
    with contextlib.suppress(KeyboardInterrupt):
        for source, line in open_stack().logs(name, follow=follow):
            print(f"{source} | {line}" if source != name else line)  # noqa: T201 - as the process wrote it


@command(
    RUN,
    argument("service", metavar="SERVICE", help="avro-consumer, wordcount-stream, …", completer=services),
    argument("replicas", metavar="REPLICAS", type=int, help="number of replicas"),
)
def scale(*, service: str, replicas: int) -> None:
    """Change the number of replicas of a service, and show who owns which partition then, and what the change cost."""
    from newsroom_stack.cli.status import after_scaling, assignment_lines, last_rebalance

    stack = open_stack()
    url = stack.ports.status_url
    before = last_rebalance(url, service)
    _report(stack.scale(service, replicas))
    # A service that reads is a member of the group of its own name, unless its settings say otherwise.
    ownership = after_scaling(url, service, replicas, before)
    if ownership is not None:
        _report(list(assignment_lines(ownership)))


@command(BREAK, NAME)
def kill(*, name: str) -> None:
    """Send SIGKILL: the process cannot clean up, and stays down until `restart`."""
    _report(open_stack().kill(name))


@command(BREAK, NAME)
def pause(*, name: str) -> None:
    """Send SIGSTOP: the process keeps its connections and does nothing."""
    _report(open_stack().pause(name))


@command(BREAK, NAME)
def resume(*, name: str) -> None:
    """Continue a paused process."""
    _report(open_stack().resume(name))


@command(BREAK, NAME)
def restart(*, name: str) -> None:
    """Stop the process if it runs, start it, and wait until it is ready."""
    _report(open_stack().restart(name))


@command(LOOK)
def doctor() -> int:
    """Check whether this machine can run the stack, and advise what to do."""
    from newsroom_stack.cli.doctor import Verdict, examine

    colours = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}
    verdicts = set()
    for finding in examine(open_stack()):
        remedy = f" → {finding.remedy}" if finding.remedy else ""
        mark = f"[{colours[finding.verdict]}]{finding.verdict.value:<8}[/]"
        console().print(f"{mark} {finding.subject}: {escaped(finding.detail)}{remedy}")
        verdicts.add(finding.verdict)
    return 1 if Verdict.PROBLEM in verdicts else 0


@command(LOOK, argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish"))
def completion(*, shell: str) -> None:
    """Print what makes a shell complete commands and names: source <(newsroom completion bash)."""
    import argcomplete

    print(argcomplete.shellcode(["newsroom"], shell=shell))  # type: ignore[attr-defined]  # noqa: T201 - for a shell


@command(
    LOOK,
    argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="TOOL",
        help="the tool and its own options",
        completer=lambda **_: KAFKA_TOOLS,
    ),
)
def kafka(*, arguments: Sequence[str]) -> int:
    """Run a command-line tool of Kafka's own, such as `newsroom kafka topics --list`. Java need not be installed."""
    if not arguments or arguments[0] in {"--help", "-h"}:
        print(TOOLS_HELP)  # noqa: T201 - as the other commands' help
        return 0
    from newsroom_stack.jvm.launch import kafka_class

    (tool, *options), settings = arguments, load_stack_settings()
    main_class = tool_class(tool)
    options = with_brokers(tool, options, Ports(settings.port_offset).bootstrap)
    launch = kafka_class(download(settings), main_class, options)
    return subprocess.run(launch.argv, env=launch.env, check=False).returncode


def _report(lines: list[str]) -> None:
    for line in lines:
        console().print(line, markup=False)


# Their modules register more commands.
from newsroom_stack.cli import groups as _groups  # noqa: E402, F401
from newsroom_stack.cli import lab as _lab  # noqa: E402, F401
from newsroom_stack.cli import records as _records  # noqa: E402, F401
from newsroom_stack.cli import replay as _replay  # noqa: E402, F401
from newsroom_stack.cli import top as _top  # noqa: E402, F401

if __name__ == "__main__":
    sys.exit(main())
