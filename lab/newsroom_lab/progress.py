"""Which predictions a reader has got right, kept beside the stack's data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "lab.json"


@dataclass(frozen=True)
class Progress:
    """The last prediction for each experiment: right or wrong."""

    answers: dict[str, bool]

    @classmethod
    def read(cls, home: Path) -> Self:
        """What is kept in a stack's home; nothing if there is no readable file."""
        try:
            answers = json.loads((home / FILE).read_text(encoding="utf-8"))
            return cls({str(name): bool(right) for name, right in answers.items()})
        except (OSError, ValueError, AttributeError):
            return cls({})

    def write(self, home: Path) -> None:
        """Keep it in a stack's home."""
        home.mkdir(parents=True, exist_ok=True)
        (home / FILE).write_text(json.dumps(self.answers, indent=1), encoding="utf-8")

    def with_answer(self, name: str, *, right: bool) -> Self:
        """The same with one more answer."""
        return type(self)({**self.answers, name: right})

    def right(self, name: str) -> bool | None:
        """Whether the last prediction was right; None if there was none."""
        return self.answers.get(name)

    def score(self, names: Iterable[str]) -> int:
        """How many of these are right."""
        return sum(self.answers.get(name, False) for name in names)
