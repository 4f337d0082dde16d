"""The lab's commands. The lab is a program of its own: it stands on the stack, and the stack knows nothing of it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom_stack.cli.parser import LOOK, RUN, argument, command
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

LAB = Path(sys.executable).parent / "newsroom-lab"


def _words(*, parsed_args: argparse.Namespace, **_: object) -> Sequence[str]:
    """The lab's commands, and then its experiments."""
    if not parsed_args.arguments:
        return ("list", "show", "run", "quiz", "docs", "new", "try", "watch", "break", "check", "hint", "heal")
    done = subprocess.run([LAB, "list", "--names"], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.split()


@command(
    RUN,
    argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="list, show, run, quiz, docs; new, try, watch; break, check, hint, heal; and options",
        completer=_words,
    ),
)
def lab(*, arguments: Sequence[str]) -> None:
    """Experiments for the questions of a Kafka course, tasks to write, and faults to repair: newsroom lab list."""
    _run(arguments or ["--help"])


@command(LOOK, argument("arguments", nargs=argparse.REMAINDER, metavar="WORD", help="a word; without one, all of them"))
def explain(*, arguments: Sequence[str]) -> None:
    """Explain a word of Kafka, such as lag, and name the experiment that shows it."""
    _run(["explain", *arguments])


def _run(arguments: Sequence[str]) -> None:
    if not LAB.exists():
        raise StackError("the lab is not installed here: run 'make install' in the clone")
    sys.stdout.flush()
    os.execv(LAB, [str(LAB), *arguments])  # noqa: S606 - the lab's own options and terminal
