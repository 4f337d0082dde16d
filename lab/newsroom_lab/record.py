"""What an experiment did and saw, in order: what the terminal shows and the report keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Verdict(StrEnum):
    """How a run ended."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    """A claim did not hold."""
    BROKEN = "BROKEN"
    """It could not be run to its end."""


@dataclass(frozen=True)
class Step:
    """What is done next, in a sentence."""

    text: str
    kind: str = "step"


@dataclass(frozen=True)
class Shown:
    """A command, as it can be repeated by hand."""

    command: str
    kind: str = "command"


@dataclass(frozen=True)
class Said:
    """Lines that a command wrote, or a remark."""

    lines: tuple[str, ...]
    kind: str = "output"


@dataclass(frozen=True)
class Bars:
    """A number for each of several things."""

    title: str
    values: dict[str, float]
    unit: str
    kind: str = "bars"


@dataclass(frozen=True)
class Table:
    """Rows under columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: str = "table"


@dataclass(frozen=True)
class Lanes:
    """Who owned each partition when: one lane per partition, time along."""

    title: str
    seconds: float
    lanes: dict[str, tuple[tuple[float, float, str], ...]]
    """Lane to spans: from, to (seconds) and owner."""
    kind: str = "lanes"

    def owners(self) -> list[str]:
        """All owners, in a lasting order."""
        return sorted({owner for spans in self.lanes.values() for _, _, owner in spans})


@dataclass(frozen=True)
class Claim:
    """What must hold, and whether it did."""

    text: str
    held: bool
    evidence: str
    kind: str = "claim"


Event = Step | Shown | Said | Bars | Table | Lanes | Claim


@dataclass
class Outcome:
    """A run of an experiment."""

    name: str
    wrong: str = ""
    """The wrong answer that was tried; empty for the right one."""
    events: list[Event] = field(default_factory=list)
    answer: float | None = None
    sentence: str = ""
    """The measured numbers in one sentence."""
    seconds: float = 0.0
    trouble: str = ""
    """Why it could not be run to its end."""

    def claims(self) -> Iterator[Claim]:
        """What was claimed."""
        return (event for event in self.events if isinstance(event, Claim))

    @property
    def verdict(self) -> Verdict:
        """PASS needs at least one claim, and each of them to hold."""
        held = [claim.held for claim in self.claims()]
        if not all(held):
            return Verdict.FAIL
        return Verdict.BROKEN if self.trouble or not held else Verdict.PASS

    def as_json(self) -> dict[str, Any]:
        """The whole run, for a file."""
        return {"verdict": self.verdict.value, **asdict(self)}
