"""Tries a learner's program: runs it through the rounds of a task, and audits what each round left."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from newsroom.kafka_errors import reason_of
from newsroom_lab.lab import Lab
from newsroom_lab.record import Outcome
from newsroom_lab.write.audit import MEMBERS_SURVIVE
from newsroom_lab.write.passage import Passage
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from newsroom_lab.write.audit import Finding
    from newsroom_lab.write.task import Round, Task
    from newsroom_stack.interface import Stack


@dataclass(frozen=True)
class Judged:
    """A round, and what was found."""

    round: Round
    findings: Sequence[Finding]
    timeline: Sequence[tuple[float, str]]
    """Seconds since the start of the round, and what happened."""
    trouble: str = ""
    """Why it could not be run to its end."""
    lines: Sequence[str] = ()
    """The program's last lines."""

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not self.trouble and bool(self.findings) and all(finding.kept for finding in self.findings)


@dataclass
class Trial:
    """One program, one task."""

    task: Task
    command: tuple[str, ...]
    stack: Stack
    seed: int
    show: Callable[[str], None] = field(default=lambda _: None)
    """Called with each line of the timeline when it happens."""

    def rounds(self, *, quick: bool = False) -> list[Round]:
        """The rounds that are run."""
        return [chosen for chosen in self.task.rounds if chosen.quick or not quick]

    def run(self, number: int, chosen: Round) -> Judged:
        """Run one round and audit it. It cleans up what it made."""
        chance = random.Random(f"{self.seed}-{number}")  # noqa: S311 - not a secret
        passage = Passage(self.task, chosen, self.command, chance, self.show)
        try:
            with Lab(self.stack, Outcome(f"try-{self.task.name}"), lambda _: None) as lab:
                evidence = passage.go(lab)
            findings: Sequence[Finding] = self.task.audit(evidence)
        except StackError as error:
            return Judged(chosen, (), passage.timeline, str(error), passage.lines)
        except KafkaException as error:
            return Judged(chosen, (), passage.timeline, f"the cluster refused: {reason_of(error)}", passage.lines)
        except TimeoutError:
            late = "the cluster did not answer in time: is every broker ready ('newsroom ps')? Then try again"
            return Judged(chosen, (), passage.timeline, late, passage.lines)
        return Judged(chosen, findings, passage.timeline, "", passage.lines)


def breaches(judged: Sequence[Judged]) -> Mapping[str, Finding]:
    """The first finding for each promise that was broken. What ended a member comes first."""
    broken: dict[str, Finding] = {}
    for verdict in judged:
        for finding in sorted(verdict.findings, key=lambda finding: finding.promise != MEMBERS_SURVIVE):
            if not finding.kept:
                broken.setdefault(finding.promise, finding)
    return broken
