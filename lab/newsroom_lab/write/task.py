"""What a task is: the text, the variables that a program gets, the rounds it must survive, and the audit."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from random import Random

    from newsroom_lab.lab import Lab
    from newsroom_lab.write.audit import Finding
    from newsroom_stack.pipeline.observe import Record

SESSION_MS = 4000
"""LAB_SESSION_MS: after so many milliseconds without a heartbeat, a group gives a member's partitions to others."""


class UnknownTask(StackError):
    """No task has this name."""


class Act(StrEnum):
    """What happens to a program while it works."""

    KILL = "kill -9 and start again"
    FREEZE = "freeze a member for longer than its session"
    JOIN = "one member more"
    LEAVE = "stop a member"
    BROKER = "a broker dies and comes back"
    REGISTRY = "the registry is down when the program starts"


@dataclass(frozen=True)
class Round:
    """One run of the program."""

    name: str
    acts: tuple[Act, ...] = ()
    members: int = 1
    quick: bool = False
    """Whether `newsroom lab watch` runs it."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What is special in this round, for the task's own use."""

    @property
    def rebalances(self) -> int:
        """How often the group's members change."""
        return sum(act in (Act.KILL, Act.FREEZE, Act.JOIN, Act.LEAVE) for act in self.acts)


@dataclass(frozen=True)
class Evidence:
    """What a round left behind."""

    round: Round
    records: Mapping[str, Sequence[Record]]
    """The records of each topic, by the name of its variable without LAB_."""
    lag: int
    """Records of LAB_INPUT that the group has not committed."""
    deaths: Sequence[str]
    """Members that ended by themselves: how."""
    stop_seconds: float
    codes: Sequence[int | None]
    """Exit codes of a program that ends by itself."""
    lines: Sequence[str]
    """What it wrote."""
    schemas: Mapping[int, str] = field(default_factory=dict)
    """The versions of the output's subject in the registry: schema by id, the oldest first."""
    committed: Mapping[int, int] = field(default_factory=dict)
    """The group's committed offsets of LAB_INPUT."""

    @property
    def input(self) -> Sequence[Record]:
        """What was sent to LAB_INPUT."""
        return self.records["INPUT"]

    @property
    def output(self) -> Sequence[Record]:
        """What the program wrote to LAB_OUTPUT."""
        return self.records["OUTPUT"]


@dataclass(frozen=True)
class Setting:
    """What a task may prepare before its program starts."""

    lab: Lab
    variables: dict[str, str]
    """What the program gets; a task may add to it."""
    folder: Path
    round: Round


Pair = tuple[str | None, str | bytes | None]


def no_preparation(_: Setting) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Task:
    """Something to write, and how it is judged."""

    level: int
    title: str
    text: str
    """What the program must do."""
    topics: tuple[str, ...]
    """The topics that are made for it: LAB_INPUT is INPUT."""
    promises: Mapping[str, str]
    """Each promise of the audit, and the hint for a program that breaks it."""
    rounds: tuple[Round, ...]
    audit: Callable[[Evidence], list[Finding]]
    feed: Callable[[Random, Setting], list[Pair]] | None = None
    """What is written to LAB_INPUT while the program works; None for a program that ends by itself."""
    prepare: Callable[[Setting], None] = no_preparation
    ready: Callable[[Setting], bool] | None = None
    """Whether the program is ready for the input; it is waited for some seconds."""
    settled: Callable[[Setting], bool] | None = None
    """Whether the work is done; None: the group has committed the whole input."""
    settle_seconds: float = 150.0
    """How long the work may take after the last record of the input."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further variables of its own, and what they say."""
    compacted: tuple[str, ...] = ()
    """Those of the topics that are tables."""
    name: str = ""
    """Its module's name, with hyphens."""

    @property
    def ends(self) -> bool:
        """Whether the program ends by itself."""
        return self.feed is None


@cache
def tasks() -> Mapping[str, Task]:
    """Every task by its name, the easiest first."""
    package = importlib.import_module("newsroom_lab.write.tasks")
    known = []
    for module in pkgutil.iter_modules(package.__path__):
        task: Task = importlib.import_module(f"{package.__name__}.{module.name}").TASK
        object.__setattr__(task, "name", module.name.replace("_", "-"))
        known.append(task)
    known.sort(key=lambda task: task.level)
    return MappingProxyType({task.name: task for task in known})


def task_of(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownTask: there is none; the message lists similar names.
    """
    if name in tasks():
        return tasks()[name]
    similar = difflib.get_close_matches(name, tasks(), n=3, cutoff=0.4) or list(tasks())
    raise UnknownTask(f"there is no task '{name}': {', '.join(similar)}")
