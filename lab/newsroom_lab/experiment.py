"""What an experiment is, and all of them by their names."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Section(StrEnum):
    """The parts of the course, in their order."""

    CLUSTER = "The cluster"
    TOPICS = "Topics, partitions, keys"
    PRODUCER = "The producer"
    CONSUMER = "The consumer"
    SCHEMAS = "Serialization and schemas"
    CONNECT = "Kafka Connect"
    STREAMS = "Stream processing"
    MONITORING = "Monitoring"
    SCALING = "Scaling and rebalancing"
    DEEPER = "What the course does not show"


class UnknownExperiment(StackError):
    """No experiment has this name."""


@dataclass(frozen=True)
class Choice:
    """A prediction among answers, one of which is right."""

    options: tuple[str, ...]
    right: int
    """The place of the right one, from 0."""


@dataclass(frozen=True)
class Number:
    """A prediction of what the experiment measures with `Lab.answer`."""

    unit: str
    within: float = 0.0
    """How far from the measured number a guess is still right, as a part of it."""


@dataclass(frozen=True)
class Experiment:
    """A question with its answer, and the steps that show it."""

    section: Section
    rows: tuple[int, ...]
    """The questions of the original course that it answers, by their number in `rows.py`; empty for ours."""
    question: str
    predict: Choice | Number
    steps: Callable[..., None]
    """Called with a `Lab`, and in a wrong answer with its arguments."""
    why: str
    """The reason, for a reader who has seen the numbers."""
    wrong: Mapping[str, Mapping[str, Any]]
    """Answers that the experiment refutes: what is done instead, and the arguments of `steps` that do it."""
    quick: bool = False
    """Whether it belongs to the short run, and takes a few seconds."""
    disturbs: bool = False
    """Whether it kills, pauses or scales a part of the stack that others use."""
    terms: tuple[str, ...] = field(default=())
    """Words that it explains, as `newsroom explain` knows them."""
    name: str = ""
    """Its module's name, with hyphens."""


@cache
def experiments() -> Mapping[str, Experiment]:
    """Every experiment by its name, in the order of the course: sections first, then rows."""
    package = importlib.import_module("newsroom_lab.experiments")
    known = []
    for module in pkgutil.iter_modules(package.__path__):
        experiment: Experiment = importlib.import_module(f"{package.__name__}.{module.name}").EXPERIMENT
        object.__setattr__(experiment, "name", module.name.replace("_", "-"))
        known.append(experiment)
    places = list(Section)
    known.sort(key=lambda experiment: (places.index(experiment.section), experiment.rows or (99,), experiment.name))
    return MappingProxyType({experiment.name: experiment for experiment in known})


def experiment_of(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UnknownExperiment: there is none; the message lists similar names.
    """
    import difflib  # noqa: PLC0415 - for a mistyped name alone

    if name in experiments():
        return experiments()[name]
    similar = difflib.get_close_matches(name, experiments(), n=3, cutoff=0.4) or list(experiments())
    raise UnknownExperiment(f"there is no experiment '{name}': {', '.join(similar)} ('newsroom lab list' shows all)")
