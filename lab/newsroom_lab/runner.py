"""Runs an experiment on a stack, and makes an outcome of whatever happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from newsroom.kafka_errors import reason_of
from newsroom_lab.lab import Lab
from newsroom_lab.record import Outcome
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom_lab.experiment import Experiment
    from newsroom_lab.record import Event
    from newsroom_stack.interface import Stack


class UnknownAnswer(StackError):
    """The experiment has no wrong answer of this name."""


def nothing(_: Event) -> None:
    """Show nothing."""


def run_experiment(
    experiment: Experiment, stack: Stack, show: Callable[[Event], None] = nothing, *, wrong: str = ""
) -> Outcome:
    """Run an experiment, or one of its wrong answers, which must fail.

    Raises:
        UnknownAnswer: there is no such wrong answer.
    """
    if wrong and wrong not in experiment.wrong:
        raise UnknownAnswer(f"{experiment.name} has no wrong answer '{wrong}': {', '.join(experiment.wrong)}")
    outcome = Outcome(experiment.name, wrong)
    start = time.monotonic()
    try:
        with Lab(stack, outcome, show) as lab:
            experiment.steps(lab, **experiment.wrong[wrong] if wrong else {})
    except StackError as error:
        outcome.trouble = str(error)
    except KafkaException as error:
        outcome.trouble = f"the cluster refused: {reason_of(error)}"
    except Exception as error:  # noqa: BLE001 - one experiment must not end the others
        outcome.trouble = f"{type(error).__name__}: {error}"
    outcome.seconds = time.monotonic() - start
    return outcome
