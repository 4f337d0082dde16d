"""The commands of `newsroom`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from newsroom import __version__
from newsroom_stack.cli.display import Display
from newsroom_stack.cli.doctor import Verdict, examine
from newsroom_stack.cli.duration import parse_duration
from newsroom_stack.cli.render import console, errors, instances_table, plain_instances
from newsroom_stack.errors import StackError
from newsroom_stack.jvm import launch as jvm
from newsroom_stack.jvm.artifacts import ensure_artifacts
from newsroom_stack.jvm.progress import make_progress
from newsroom_stack.pipeline.story import Story
from newsroom_stack.ports import Ports
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import load_stack_settings
from newsroom_stack.waits import deadline_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.interface import Owner, Show, Stack

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

POLL_SECONDS = 0.5
"""Interval between two checks that the stack still runs while the demo shows figures."""

RUN, LOOK, BREAK = "Run", "Look", "Break"
"""Groups of commands in the help."""

NameArgument = Annotated[str, typer.Argument(help="an instance (avro-consumer-2) or a service (avro-consumer)")]


def main() -> None:
    """Run a command. A `StackError` becomes one line on standard error and exit code 1."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        app()
    except StackError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(1)
    except BrokenPipeError:
        # The reader closed the pipe (`newsroom logs | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _on_sigterm(*_: object) -> None:
    # Like Ctrl-C: the command stops its own stack in order on the way out.
    raise KeyboardInterrupt


def _print_version(value: bool) -> None:
    if value:
        console.print(f"newsroom {__version__}")
        raise typer.Exit


@app.callback()
def choose(
    docker: Annotated[
        bool, typer.Option("--docker", help="use containers and docker compose, as NEWSROOM_DOCKER=1 does")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Run and break a whole Kafka system on this machine."""
    if docker:
        os.environ["NEWSROOM_DOCKER"] = "1"


def open_stack() -> Stack:
    """Return the stack that the settings choose."""
    settings = load_stack_settings()
    if settings.docker:
        # Importing the engine's client takes a fifth of a second, which only containers need.
        from newsroom_stack.containers.stack import ContainerStack  # noqa: PLC0415

        return ContainerStack(settings)
    return ProcessStack(settings)


@contextlib.contextmanager
def shown(stack: Stack) -> Iterator[Show]:
    """Download missing files, then show the start's progress: one live line, or plain lines in a pipe."""
    if not stack.settings.docker:
        ensure_artifacts(stack.settings.cache, make_progress(console))
    if not console.is_terminal:
        yield lambda line: console.print(line, markup=False)
        return
    with console.status("starting") as status:

        def show(line: str) -> None:
            if ": ready in" in line:
                console.print(f"[green]✓[/] {escape(line)}")
            elif not line.startswith("error:"):
                status.update(escape(line))

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
        console.print("stopping everything in order; a second Ctrl-C does not make it faster")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        code = owner.stop()
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
        console.print("the stack goes on running, as it did before")


@app.command(rich_help_panel=RUN)
def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="return once everything is ready, and leave the stack running")
    ] = False,
    run_for: Annotated[
        str | None, typer.Option("--for", help="stop automatically this long after startup (60s, 5m)")
    ] = None,
) -> None:
    """Start the whole stack, and wait until every part is ready."""
    stack = open_stack()
    seconds = parse_duration(run_for) if run_for else None
    if detach:
        with shown(stack) as show:
            stack.up(run_for=seconds, show=show)
        show_addresses(stack)
        command = "newsroom --docker" if stack.settings.docker else "newsroom"
        console.print(f"running in the background: '{command} ps' shows it, '{command} down' stops it")
        return
    owner = start_stack(stack, seconds)
    with owned(owner):
        show_addresses(stack)
        console.print("Ctrl-C stops everything" if seconds is None else f"stops by itself in {seconds:g} s")
        for line in owner.news():
            console.print(line, markup=False)
    console.print("everything is stopped")


def show_addresses(stack: Stack) -> None:
    """Print the addresses of the stack."""
    ports = stack.ports
    console.print(f"brokers   {ports.bootstrap}")
    console.print(f"registry  {ports.registry_url}")
    console.print(f"connect   http://localhost:{ports.connect}")
    console.print(f"page      {ports.status_url}")
    if stack.settings.docker:
        console.print(f"kafka ui  http://localhost:{ports.ui}")
    if ports.offset:
        console.print("for services that you start yourself:")
        console.print(
            f"  export NEWSROOM_BOOTSTRAP_SERVERS={ports.bootstrap} NEWSROOM_REGISTRY_URL={ports.registry_url}"
        )


@app.command(rich_help_panel=RUN)
def demo(
    run_for: Annotated[
        str | None, typer.Option("--for", help="end automatically this long after the story (60s, 5m)")
    ] = None,
) -> None:
    """Start the stack if necessary, send records through every stage, and show figures until Ctrl-C."""
    started = time.monotonic()
    seconds = parse_duration(run_for) if run_for else None
    stack = open_stack()
    guest = stack.running()
    farewell = "Ctrl-C ends this view, the stack goes on running" if guest else "Ctrl-C stops everything"
    with left_running() if guest else owned(start_stack(stack)):
        display = Display(console, stack.ports, farewell)
        if not tell_story(stack, display, started, seconds):
            raise typer.Exit(1)


def tell_story(stack: Stack, display: Display, started: float, seconds: float | None) -> bool:
    """Tell the story and show figures until Ctrl-C or the time is over. Return whether every stage worked."""
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


@app.command(rich_help_panel=RUN)
def down(wipe: Annotated[bool, typer.Option("--wipe", help="delete data and logs too")] = False) -> None:
    """Stop the stack, or the leftovers of a crashed one."""
    _report(open_stack().down(wipe=wipe))


@app.command(rich_help_panel=LOOK)
def ps(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """List every process with its state, memory and address."""
    instances = open_stack().ps()
    if as_json:
        print(json.dumps([asdict(instance) for instance in instances], indent=1))  # noqa: T201 - data
    elif not instances:
        console.print("nothing runs; start it with 'newsroom up'")
    elif console.is_terminal:
        console.print(instances_table(instances))
    else:
        print("\n".join(plain_instances(instances)))  # noqa: T201 - plain lines


@app.command(rich_help_panel=LOOK)
def logs(
    name: Annotated[str | None, typer.Argument(help="an instance or a service (default: all)")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="wait for new lines")] = False,
) -> None:
    """Print the output of the processes."""
    with contextlib.suppress(KeyboardInterrupt):
        for source, line in open_stack().logs(name, follow=follow):
            print(f"{source} | {line}" if source != name else line)  # noqa: T201 - as the process wrote it


@app.command(rich_help_panel=RUN)
def scale(
    service: Annotated[str, typer.Argument(help="avro-consumer, wordcount-stream, …")],
    replicas: Annotated[int, typer.Argument(min=0, help="number of replicas")],
) -> None:
    """Change the number of replicas of a service. Consumers redistribute the partitions."""
    _report(open_stack().scale(service, replicas))


@app.command(rich_help_panel=BREAK)
def kill(name: NameArgument) -> None:
    """Send SIGKILL: the process cannot clean up, and stays down until `restart`."""
    _report(open_stack().kill(name))


@app.command(rich_help_panel=BREAK)
def pause(name: NameArgument) -> None:
    """Send SIGSTOP: the process keeps its connections and does nothing."""
    _report(open_stack().pause(name))


@app.command(rich_help_panel=BREAK)
def resume(name: NameArgument) -> None:
    """Continue a paused process."""
    _report(open_stack().resume(name))


@app.command(rich_help_panel=BREAK)
def restart(name: NameArgument) -> None:
    """Stop the process if it runs, start it, and wait until it is ready."""
    _report(open_stack().restart(name))


@app.command(rich_help_panel=LOOK)
def doctor() -> None:
    """Check whether this machine can run the stack, and advise what to do."""
    colours = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}
    verdicts = set()
    for finding in examine(open_stack()):
        remedy = f" → {finding.remedy}" if finding.remedy else ""
        mark = f"[{colours[finding.verdict]}]{finding.verdict.value:<8}[/]"
        console.print(f"{mark} {finding.subject}: {escape(finding.detail)}{remedy}")
        verdicts.add(finding.verdict)
    if Verdict.PROBLEM in verdicts:
        raise typer.Exit(1)


@app.command(
    rich_help_panel=LOOK,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def kafka(context: typer.Context, tool: Annotated[str, typer.Argument(help="topics, consumer-groups, …")]) -> None:
    """Run a command-line tool of Kafka's own, such as `newsroom kafka topics --list`. Java need not be installed."""
    settings = load_stack_settings()
    artifacts = ensure_artifacts(settings.cache, make_progress(console))
    arguments = list(context.args)
    if not any(argument.startswith("--bootstrap") for argument in arguments):
        arguments = ["--bootstrap-server", Ports(settings.port_offset).bootstrap, *arguments]
    launch = jvm.kafka_class(artifacts, KAFKA_TOOLS.get(tool, tool), arguments)
    raise typer.Exit(subprocess.run(launch.argv, env=launch.env, check=False).returncode)


KAFKA_TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
}
"""The names of Kafka's scripts. Any other name is a Java class."""


def _report(lines: list[str]) -> None:
    for line in lines:
        console.print(escape(line))


if __name__ == "__main__":
    main()
