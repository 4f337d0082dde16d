"""The commands `newsroom lab tasks|new|try|watch`."""

from __future__ import annotations

import random
import shlex
import textwrap
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from newsroom_lab.write.task import Round, Task, task_of, tasks
from newsroom_stack.cli.render import console
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from newsroom_lab.write.trial import Judged
    from newsroom_stack.interface import Stack

    Opening = Callable[[], AbstractContextManager[Stack]]

LANGUAGES = {"python": "py", "java": "java", "shell": "sh"}
GAP = "TODO"
"""What marks a gap in a skeleton."""

MEANINGS = {
    "LAB_BOOTSTRAP": "brokers, as host:port,host:port",
    "LAB_REGISTRY": "the registry's URL (Confluent's API)",
    "LAB_INPUT": "the topic to read; it is written while your program works",
    "LAB_OUTPUT": "the topic to write",
    "LAB_TABLE": "a compacted topic to read as a table",
    "LAB_DEAD_LETTERS": "the topic for poison records",
    "LAB_INTERNAL": "a topic for your program's own use",
    "LAB_GROUP": "the consumer group",
    "LAB_SESSION_MS": "the session timeout to set, in milliseconds; a frozen member is frozen for longer",
    "LAB_MEMBER": "the member's number; a member that was killed starts again with the same one",
    "LAB_STATE": "the member's own folder; it is still there after a kill",
    "LAB_SHARED": "a folder for all members",
}
"""What the variables say that more than one task has."""

LAST_LINES = 5
LOOK_SECONDS = 0.3


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], opening: Opening) -> None:
    """Add the room's commands; `opening` gives the running stack."""
    lister = commands.add_parser("tasks", help="programs to write yourself, the easiest first")
    lister.set_defaults(run=_list)

    maker = commands.add_parser("new", help="write the text and the skeleton of a task to a folder")
    maker.add_argument("task", metavar="TASK")
    maker.add_argument("folder", metavar="DIR", type=Path)
    maker.add_argument("--language", choices=LANGUAGES, default="python")
    maker.set_defaults(run=_new)

    trier = commands.add_parser("try", help="run a program through a task's rounds and judge it")
    trier.add_argument("task", metavar="TASK")
    trier.add_argument("--quick", action="store_true", help="only the rounds that take seconds")
    trier.add_argument("--seed", type=int, help="repeat the events of an earlier run")
    trier.add_argument("program", metavar="COMMAND", nargs="+", help="after --: the program and its arguments")
    trier.set_defaults(run=lambda options: _try(options, opening))

    watcher = commands.add_parser("watch", help="run the quick rounds each time a file is saved")
    watcher.add_argument("task", metavar="TASK")
    watcher.add_argument("file", metavar="FILE", type=Path)
    watcher.add_argument("program", metavar="COMMAND", nargs="+", help="after --: the program and its arguments")
    watcher.set_defaults(run=lambda options: _watch(options, opening))


def _list(_: argparse.Namespace) -> int:
    for task in tasks().values():
        console().print(f" {task.level:>2}  {task.name:<18} {task.title}", highlight=False, markup=False)
    console().print(
        "\n'newsroom lab new TASK DIR' writes a skeleton, 'newsroom lab try TASK -- COMMAND' judges a program"
    )
    return 0


def description(task: Task) -> str:
    """The text of a task with the variables that its program gets, and its rounds."""
    given = [f"  {name:<16}  {meaning}" for name, meaning in variables(task).items()]
    rounds = [f"  - {chosen.name}" + (f" ({', '.join(chosen.acts)})" if chosen.acts else "") for chosen in task.rounds]
    promises = [f"  - {promise}" for promise in task.promises]
    parts = (("Environment variables", given), ("Rounds", rounds), ("Promises", promises))
    return "\n\n".join([task.title, task.text, *("\n".join([f"{name}:", *lines]) for name, lines in parts)])


def variables(task: Task) -> dict[str, str]:
    """The variables that a task's program gets, and what they say."""
    group = () if task.ends else ("LAB_GROUP", "LAB_SESSION_MS")
    topics = (f"LAB_{name}" for name in task.topics)
    names = ("LAB_BOOTSTRAP", *topics, *group, "LAB_REGISTRY", "LAB_MEMBER", "LAB_STATE", "LAB_SHARED")
    return {name: MEANINGS[name] for name in names} | dict(task.variables)


def gaps(program: str) -> list[int]:
    """The lines of a program that still have a gap."""
    lines = program.splitlines()
    # With the colon: the first line of a skeleton only says what marks a gap.
    return [number for number, line in enumerate(lines, 1) if f"{GAP}:" in line]


def skeleton(task: Task, language: str) -> str:
    """The program with gaps.

    Raises:
        StackError: the task has none in this language.
    """
    place = resources.files("newsroom_lab.write") / "skeletons" / f"{task.name}.{LANGUAGES[language]}"
    if not place.is_file():
        offered = [name for name, ending in LANGUAGES.items() if (place.parent / f"{task.name}.{ending}").is_file()]  # type: ignore[attr-defined]
        raise StackError(
            f"task {task.name} has no skeleton for {language}, but for {', '.join(offered)}; COMMAND may be any program"
        )
    return place.read_text(encoding="utf-8")


def _new(options: argparse.Namespace) -> int:
    task = task_of(options.task)
    program = skeleton(task, options.language)
    name = "Main.java" if options.language == "java" else f"{task.name.replace('-', '_')}.{LANGUAGES[options.language]}"
    file = options.folder / name
    if file.exists():
        raise StackError(f"{file} is there already: name another folder, or delete it")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(program, encoding="utf-8")
        (options.folder / "TASK.txt").write_text(description(task) + "\n", encoding="utf-8")
    except OSError as error:
        raise StackError(f"{error.filename} cannot be written: {error.strerror}") from error
    console().print(description(task), markup=False, highlight=False)
    command = {"python": f"python {file}", "java": f"java {file}", "shell": f"sh {file}"}
    line = command[options.language]
    for text in (
        f"\n{file} has gaps, marked with {GAP}. Try it at each save, and all rounds when the gaps are filled:",
        f"  newsroom lab watch {task.name} {file} -- {line}",
        f"  newsroom lab try {task.name} -- {line}",
    ):
        console().print(text, markup=False, highlight=False, soft_wrap=True)
    return 0


def _command(options: argparse.Namespace) -> tuple[str, ...]:
    program = [word for place, word in enumerate(options.program) if place or word != "--"]
    return tuple(program)


def _try(options: argparse.Namespace, opening: Opening) -> int:
    task = task_of(options.task)
    seed = random.randrange(10**6) if options.seed is None else options.seed  # noqa: S311 - not a secret
    with opening() as stack:
        return 0 if judge(task, _command(options), stack, seed, quick=options.quick) else 1


def judge(task: Task, command: tuple[str, ...], stack: Stack, seed: int, *, quick: bool) -> bool:
    """Run the rounds and show what was found; whether the program passed."""
    from newsroom_lab.write.trial import Trial, breaches  # noqa: PLC0415 - `newsroom lab list` needs no Kafka client

    trial = Trial(task, command, stack, seed, lambda line: console().print(f"    [dim]{escape(line)}[/]"))
    console().print(f"[bold]{task.name}[/] {escape(shlex.join(command))} (--seed {seed})", highlight=False)
    judged = []
    for number, chosen in enumerate(trial.rounds(quick=quick), 1):
        console().print(f"[bold]▸ {chosen.name}[/]{_acts(chosen)}", highlight=False)
        judged.append(trial.run(number, chosen))
        _show(judged[-1])
    broken = breaches(judged)
    for promise, finding in broken.items():
        console().print(f"[red]broken:[/] {promise}: {escape(finding.proof)}", highlight=False, soft_wrap=True)
        for line in textwrap.wrap(f"hint: {task.promises.get(promise, '')}", 110):
            console().print(f"  {line}", markup=False, highlight=False)
    passed = all(result.passed for result in judged)
    longer = len(task.rounds) - len(judged)
    left = f" in the quick rounds; 'newsroom lab try' runs {longer} more" if longer else ""
    colour, verdict = ("green", "PASS") if passed else ("red", "FAIL") if broken else ("yellow", "NOT JUDGED")
    console().print(f"[{colour}]{verdict}[/] {task.name}{left if passed else ''}", highlight=False)
    return passed


def _acts(chosen: Round) -> str:
    return f" [dim]({', '.join(chosen.acts)})[/]" if chosen.acts else ""


def _show(judged: Judged) -> None:
    if judged.trouble:
        console().print(f"  [yellow]could not be run to its end:[/] {escape(judged.trouble)}", highlight=False)
    else:
        figures = " · ".join(
            f"[{'green' if finding.kept else 'red'}]{escape(finding.figures)}[/]" for finding in judged.findings
        )
        console().print(f"  {'[green]✓[/]' if judged.passed else '[red]✗[/]'} {figures}", highlight=False)
    if not judged.passed and judged.lines:
        last = [f"      {line}" for line in judged.lines[-LAST_LINES:]]
        console().print("\n".join(["    the program's last lines:", *last]), markup=False, highlight=False)


def _watch(options: argparse.Namespace, opening: Opening) -> int:
    task, file = task_of(options.task), options.file
    if not file.is_file():
        raise StackError(f"{file} is not a file: 'newsroom lab new {task.name} DIR' writes a skeleton")
    with opening() as stack:
        saved = 0
        while True:
            # An editor may replace the file: for a moment there is none.
            now = file.stat().st_mtime_ns if file.is_file() else saved
            if now != saved:
                saved = now
                if left := gaps(file.read_text(encoding="utf-8", errors="replace")):
                    lines = ", ".join(map(str, left))
                    console().print(f"{file} has gaps: lines {lines}", markup=False, highlight=False)
                judge(task, _command(options), stack, seed=1, quick=True)
                console().print(f"watching {file}; Ctrl-C ends it", markup=False, highlight=False)
            time.sleep(LOOK_SECONDS)
