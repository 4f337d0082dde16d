"""What a reader predicts, and whether it was right."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Number
from newsroom_lab.view import WIDTH

if TYPE_CHECKING:
    from rich.console import Console

    from newsroom_lab.experiment import Experiment
    from newsroom_lab.questions import Question
    from newsroom_lab.record import Outcome


@dataclass(frozen=True)
class Guess:
    """A prediction: a number, or the place of an option."""

    value: float

    def right(self, experiment: Experiment, outcome: Outcome) -> bool:
        """Whether the run shows that it is right."""
        if isinstance(experiment.predict, Choice):
            return int(self.value) == experiment.predict.right
        if outcome.answer is None:
            return False
        return abs(self.value - outcome.answer) <= experiment.predict.within * abs(outcome.answer)


def ask(console: Console, experiment: Experiment) -> Guess | None:
    """Ask for a prediction; None when the reader gives none."""
    predict = experiment.predict
    unit = f" ({predict.unit})" if isinstance(predict, Number) else f" (1-{len(predict.options)})"
    while text := console.input(f"  your prediction{unit}, or Enter for none: ").strip():
        try:
            value = float(text.replace(",", ""))
        except ValueError:
            console.print("  a number, please")
            continue
        if isinstance(predict, Number):
            return Guess(value)
        if value in range(1, len(predict.options) + 1):
            return Guess(value - 1)
        console.print(f"  a number from 1 to {len(predict.options)}, please")
    return None


def discuss(console: Console, question: Question) -> bool:
    """Ask an open question, show the model answer, and return whether the reader says that theirs was as good."""
    console.print(f"\n[bold]{question.name}[/]")
    console.print(question.text, markup=False)
    console.input("  your answer, or Enter: ")
    for line in textwrap.wrap(question.answer, WIDTH):
        console.print(f"  {line}", markup=False)
    console.print(f"  see it: newsroom lab run {' '.join(question.experiments)}", highlight=False)
    return console.input("  did yours say that? (y/N) ").strip().lower().startswith("y")
