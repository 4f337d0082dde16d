"""The command line: `newsroom`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_stack.interface import Owner, Show, Stack

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Run, break and measure a whole Kafka system on this machine.",
)  # fmt: skip

WATCH_SECONDS = 0.5

NameArgument = Annotated[str, typer.Argument(help="an instance (avro-consumer-2) or a service (avro-consumer)")]


def main() -> None:
    """Entry point: errors are one sentence and exit code 1."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        app()
    except StackError as error:
        errors.print(f"[bold red]error:[/] {_escape(str(error))}")
        sys.exit(1)
    except BrokenPipeError:
        # The reader of a pipe has seen enough (`newsroom logs | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _on_sigterm(*_: object) -> None:
    # As Ctrl-C: whatever is owned is stopped in order on the way out.
    raise KeyboardInterrupt


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


@app.callback()
def choose(
    docker: Annotated[
        bool, typer.Option("--docker", help="the stack as containers, with docker compose; also NEWSROOM_DOCKER=1")
    ] = False,
) -> None:
    """Run, break and measure a whole Kafka system on this machine."""
    if docker:
        os.environ["NEWSROOM_DOCKER"] = "1"


def open_stack() -> Stack:
    """The stack that this command line drives."""
    settings = load_stack_settings()
    if settings.docker:
        # Imported at need: the engine's client takes a fifth of a second.
        from newsroom_stack.containers.stack import ContainerStack  # noqa: PLC0415

        return ContainerStack(settings)
    return ProcessStack(settings)


@contextlib.contextmanager
def shown(stack: Stack) -> Iterator[Show]:
    """Download what is missing; then how the start goes is shown: one living line, or plain lines in a pipe."""
    if not stack.settings.docker:
        ensure_artifacts(stack.settings.cache, make_progress(console))
    if not console.is_terminal:
        yield lambda line: console.print(line, markup=False)
        return
    with console.status("starting") as status:

        def show(line: str) -> None:
            if ": ready in" in line:
                console.print(f"[green]✓[/] {_escape(line)}")
            elif not line.startswith("error:"):
                status.update(_escape(line))

        yield show


def start_stack(stack: Stack, run_for: float | None = None) -> Owner:
    """Start the stack in the foreground."""
    with shown(stack) as show:
        return stack.start(run_for=run_for, show=show)


@contextlib.contextmanager
def owned(owner: Owner) -> Iterator[None]:
    """Own a stack: SIGTERM and Ctrl-C end the block, and the end of the block stops the stack in order."""
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
            "the stack could not go on: 'newsroom logs supervisor' says why, unless the disk is full (newsroom doctor)"
        )


@contextlib.contextmanager
def left_running() -> Iterator[None]:
    """Look at a stack that somebody else started: Ctrl-C ends the block alone."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("the stack goes on running, as it did before")


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="leave it running and return")] = False,
    run_for: Annotated[str | None, typer.Option("--for", help="stop by itself so long after it is ready")] = None,
) -> None:
    """Start the whole stack and wait until every part is ready."""
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
            if line is not None:
                console.print(line, markup=False)
    console.print("everything is stopped")


def show_addresses(stack: Stack) -> None:
    """Where everything answers."""
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


@app.command()
def demo(
    run_for: Annotated[str | None, typer.Option("--for", help="end so long after the story is told")] = None,
) -> None:
    """Start the stack unless it runs, send records through every stage, and watch them until Ctrl-C."""
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
    """Tell the story and go on showing figures until Ctrl-C or the time is over; whether every stage was seen."""
    with display:
        try:
            seen = Story(stack, display.say, started=started).tell()
        except StackError as error:
            display.announce(f"pipeline: failed - {error}")
            return False
        display.announce(seen.line())
        end = time.monotonic() + seconds if seconds is not None else None
        while end is None or time.monotonic() < end:
            if not stack.running():
                raise StackError("the stack ended while it was shown; see newsroom logs supervisor")
            time.sleep(WATCH_SECONDS)
    return True


@app.command()
def down(wipe: Annotated[bool, typer.Option("--wipe", help="delete data and logs too")] = False) -> None:
    """Stop the stack, or what a crashed one left."""
    for line in open_stack().down(wipe=wipe):
        console.print(line)


@app.command()
def ps(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Every process with its state, memory and address."""
    instances = open_stack().ps()
    if as_json:
        print(json.dumps([instance.as_json() for instance in instances], indent=1))  # noqa: T201 - data
    elif not instances:
        console.print("nothing runs; start it with 'newsroom up'")
    elif console.is_terminal:
        console.print(instances_table(instances))
    else:
        print("\n".join(plain_instances(instances)))  # noqa: T201 - plain lines


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="an instance or a service; all without it")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on as lines come")] = False,
) -> None:
    """What the processes wrote."""
    with contextlib.suppress(KeyboardInterrupt):
        for source, line in open_stack().logs(name, follow=follow):
            print(f"{source} | {line}" if source != name else line)  # noqa: T201 - as the process wrote it


@app.command()
def scale(
    service: Annotated[str, typer.Argument(help="avro-consumer, wordcount-stream, …")],
    replicas: Annotated[int, typer.Argument(min=0, help="how many shall run")],
) -> None:
    """Run so many replicas of a service; consumers share the partitions anew."""
    _report(open_stack().scale(service, replicas))


@app.command()
def kill(name: NameArgument) -> None:
    """SIGKILL: the process gets no chance to finish; it stays down until `restart`."""
    _report(open_stack().kill(name))


@app.command()
def pause(name: NameArgument) -> None:
    """SIGSTOP: the process holds its connections and does nothing."""
    _report(open_stack().pause(name))


@app.command()
def resume(name: NameArgument) -> None:
    """Let a paused process go on."""
    _report(open_stack().resume(name))


@app.command()
def restart(name: NameArgument) -> None:
    """Stop the process if it runs, start it, and wait until it is ready."""
    _report(open_stack().restart(name))


@app.command()
def doctor() -> None:
    """What is wrong with this machine for a stack, and what to do."""
    colours = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}
    worst = Verdict.OK
    for finding in examine(open_stack()):
        remedy = f" → {finding.remedy}" if finding.remedy else ""
        mark = f"[{colours[finding.verdict]}]{finding.verdict.value:<8}[/]"
        console.print(f"{mark} {finding.subject}: {_escape(finding.detail)}{remedy}")
        worst = Verdict.PROBLEM if Verdict.PROBLEM in (worst, finding.verdict) else worst
    if worst is Verdict.PROBLEM:
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def kafka(context: typer.Context, tool: Annotated[str, typer.Argument(help="topics, consumer-groups, …")]) -> None:
    """Run one of Kafka's own command-line tools, without Java on the machine: `newsroom kafka topics --list`."""
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
"""Short names as Kafka's own scripts have them; any other name is taken as a class."""


def _report(lines: list[str]) -> None:
    for line in lines:
        console.print(_escape(line))


if __name__ == "__main__":
    main()
