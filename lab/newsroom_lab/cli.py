"""The command line of the lab: `newsroom lab list|show|run|quiz|explain|docs`, and those of `repair` and `write`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom.terminal import tolerate_any_terminal
from newsroom_lab.answers import ask, discuss
from newsroom_lab.experiment import Experiment, Section, experiment_of, experiments
from newsroom_lab.explaining import explain, list_words
from newsroom_lab.progress import Progress
from newsroom_lab.questions import QUESTIONS
from newsroom_lab.record import Verdict
from newsroom_lab.repair import commands as repair
from newsroom_lab.runner import run_experiment
from newsroom_lab.view import VERDICT_COLOUR, View
from newsroom_lab.write import commands as write
from newsroom_stack.cli.opening import download, open_stack, owned, start_stack
from newsroom_stack.cli.render import console, errors
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from newsroom_lab.record import Outcome
    from newsroom_stack.interface import Stack

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of the lab and return its exit code."""
    tolerate_any_terminal()
    parser = _parser()
    options = parser.parse_args(argv)
    if options.docker:
        os.environ["NEWSROOM_DOCKER"] = "1"
    try:
        return int(options.run(options))
    except StackError as error:
        errors().print("[bold red]error:[/]", end=" ")
        errors().print(str(error), markup=False)
        return 1
    except (KeyboardInterrupt, EOFError):
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="newsroom lab",
        description="Each question of the course is an experiment: predict, see it measured, and read why.",
        allow_abbrev=False,
    )
    parser.add_argument("--docker", action="store_true", help="use the stack as containers")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    lister = commands.add_parser("list", help="every experiment, by section")
    lister.add_argument("--names", action="store_true", help="only their names, for a shell's completion")
    lister.set_defaults(run=_list)

    shower = commands.add_parser("show", help="the question of one experiment, and what it does")
    shower.add_argument("name", metavar="NAME")
    shower.set_defaults(run=_show)

    runner = commands.add_parser("run", help="run experiments: predict, see, compare")
    runner.add_argument("names", metavar="NAME", nargs="*", help="experiments; 'newsroom lab list' shows them")
    runner.add_argument("--all", action="store_true", help="every experiment")
    runner.add_argument("--quick", action="store_true", help="those that take a few seconds")
    runner.add_argument("--section", help="those of a section, by the beginning of its name")
    runner.add_argument("--no-wait", action="store_true", help="ask nothing, and do not wait for Enter at each step")
    runner.add_argument("--wrong", metavar="ANSWER", default="", help="try a wrong answer: the experiment must fail")
    runner.add_argument("--json", metavar="FILE", type=Path, help="write the results as JSON")
    runner.add_argument("--html", metavar="FILE", type=Path, help="write the results as one page with pictures")
    runner.set_defaults(run=_run)

    quiz = commands.add_parser("quiz", help="predict what you have not got right yet, then explain, with a score")
    quiz.add_argument("--again", action="store_true", help="forget the score and begin again")
    quiz.add_argument("--open", action="store_true", help="the open questions alone, which need no stack")
    quiz.set_defaults(run=_quiz)

    explainer = commands.add_parser("explain", help="what a word of Kafka means, and which experiment shows it")
    explainer.add_argument("word", metavar="WORD", nargs="*", help="a word, such as lag; without one, all of them")
    explainer.set_defaults(run=_explain)

    writer = commands.add_parser("docs", help="make docs/lab anew from the experiments and their last numbers")
    writer.add_argument("--results", metavar="FILE", type=Path, help="take in what 'newsroom lab run --json' wrote")
    writer.set_defaults(run=_docs)

    write.register(commands, _stack)
    repair.register(commands)
    return parser


def _list(options: argparse.Namespace) -> int:
    if options.names:
        print(*experiments(), sep="\n")  # noqa: T201 - for a shell
        return 0
    done = Progress.read(open_stack().settings.home)
    section: Section | None = None
    for experiment in experiments().values():
        if experiment.section is not section:
            section = experiment.section
            console().print(f"\n[bold]{section}[/]")
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: " "}[done.right(experiment.name)]
        console().print(f" {mark} {experiment.name:<22} {_line(experiment.question)}", highlight=False)
    console().print("\n'newsroom lab run NAME' runs one; 'newsroom lab run --quick' those that take seconds")
    return 0


def _line(question: str) -> str:
    return question.splitlines()[0].replace("[", r"\[")


def _show(options: argparse.Namespace) -> int:
    experiment = experiment_of(options.name)
    View(console()).question(experiment)
    if experiment.disturbs:
        console().print("It kills, pauses or scales a part of the stack.")
    for wrong in experiment.wrong:
        console().print(f"  a wrong answer to try: --wrong '{wrong}'", markup=False)
    return 0


def _chosen(options: argparse.Namespace) -> list[Experiment]:
    known = experiments().values()
    if options.section:
        named = [experiment for experiment in known if experiment.section.lower().startswith(options.section.lower())]
        if not named:
            raise StackError(f"no section begins with '{options.section}': {', '.join(Section)}")
        return named
    if options.all or options.quick:
        return [experiment for experiment in known if experiment.quick or options.all]
    if not options.names:
        raise StackError("name experiments, or use --quick or --all: 'newsroom lab list' shows their names")
    return [experiment_of(name) for name in options.names]


def _run(options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    wait = sys.stdin.isatty() and console().is_terminal and not options.no_wait
    outcomes = []
    with _stack() as stack:
        for experiment in chosen:
            outcomes.append(_one(experiment, stack, wait=wait, wrong=options.wrong))
            _summarise(outcomes, of=len(chosen))
    _write(outcomes, options)
    return 0 if all(outcome.verdict is Verdict.PASS for outcome in outcomes) else 1


@contextmanager
def _stack() -> Iterator[Stack]:
    """The running stack, or one that runs as long as the block."""
    stack = open_stack()
    if stack.settings.docker:
        # Kafka's own tools run on this machine, against the published ports; no experiment should wait for them.
        download(stack.settings)
    if stack.running():
        yield stack
        return
    with owned(start_stack(stack)):
        yield stack


def _one(experiment: Experiment, stack: Stack, *, wait: bool, wrong: str = "") -> Outcome:
    view = View(console(), wait=wait)
    view.question(experiment)
    guess = ask(console(), experiment) if wait else None
    with view.living(f"running {experiment.name}"):
        outcome = run_experiment(experiment, stack, view.show, wrong=wrong)
    view.end(experiment, outcome)
    if guess is not None:
        right = guess.right(experiment, outcome)
        console().print("  your prediction was [green]right[/]" if right else "  your prediction was [red]wrong[/]")
        Progress.read(stack.settings.home).with_answer(experiment.name, right=right).write(stack.settings.home)
    return outcome


def _summarise(outcomes: Sequence[Outcome], of: int) -> None:
    if len(outcomes) < of or of == 1:
        return
    numbers = {verdict: sum(outcome.verdict is verdict for outcome in outcomes) for verdict in Verdict}
    for outcome in outcomes:
        if outcome.verdict is not Verdict.PASS:
            console().print(f"[{VERDICT_COLOUR[outcome.verdict]}]{outcome.verdict}[/] {outcome.name}")
    broken = f", {numbers[Verdict.BROKEN]} could not be run" if numbers[Verdict.BROKEN] else ""
    console().print(f"{numbers[Verdict.PASS]} passed, {numbers[Verdict.FAIL]} failed{broken}")


def _write(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    try:
        if options.json:
            options.json.write_text(json.dumps([outcome.as_json() for outcome in outcomes], indent=1), encoding="utf-8")
        if options.html:
            from newsroom_lab.report import page  # noqa: PLC0415 - jinja2 is for the page alone

            options.html.write_text(page(outcomes), encoding="utf-8")
    except OSError as error:
        raise StackError(f"{error.filename} cannot be written: {error.strerror}") from error


def _quiz(options: argparse.Namespace) -> int:
    home = open_stack().settings.home
    if not sys.stdin.isatty():
        raise StackError("the quiz asks questions: run it in a terminal")
    if options.again:
        Progress({}).write(home)
    if not options.open:
        _predictions(home)
    _open_questions(home)
    return 0


def _predictions(home: Path) -> None:
    left = [
        experiment for experiment in experiments().values() if Progress.read(home).right(experiment.name) is not True
    ]
    if not left:
        console().print(f"all {len(experiments())} predictions are right")
        return
    with _stack() as stack:
        for experiment in left:
            _one(experiment, stack, wait=True)
            console().print(f"score: {Progress.read(home).score(experiments())} of {len(experiments())}\n")


def _open_questions(home: Path) -> None:
    names = [question.name for question in QUESTIONS]
    for question in QUESTIONS:
        progress = Progress.read(home)
        if progress.right(question.name) is not True:
            progress.with_answer(question.name, right=discuss(console(), question)).write(home)
    console().print(f"open questions: {Progress.read(home).score(names)} of {len(names)}")


def _explain(options: argparse.Namespace) -> int:
    if options.word:
        explain(console(), " ".join(options.word))
    else:
        list_words(console())
    return 0


def _docs(options: argparse.Namespace) -> int:
    from newsroom_lab import course  # noqa: PLC0415 - jinja2 is for the pages alone

    kept = course.FOLDER / course.RESULTS
    results = course.read_results(kept) if kept.exists() else {}
    runs = course.read_results(options.results) if options.results else []
    files = course.pages(course.merge(results, runs, course.today()))
    changed = course.stale(files)
    course.write(files)
    console().print(f"docs/lab: {len(files)} files, {len(changed)} of them changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
