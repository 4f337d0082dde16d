"""Which fault is set into a stack: kept in the stack's home, so that another shell can heal it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Self

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

    from newsroom_stack.settings import StackSettings

FILE = "fault.json"


def home_of(settings: StackSettings) -> Path:
    """The folder that remembers a stack's fault. The containers have one of their own: both stacks may run."""
    return settings.home / "containers" if settings.docker else settings.home


@dataclass(frozen=True)
class Memory:
    """A fault that is being set or is set, and what is needed to undo it."""

    fault: str
    notes: dict[str, str] = field(default_factory=dict)
    """What the fault changed, each note written before its change."""
    hints: int = 0
    """How many hints the learner has had."""
    whole: bool = False
    """Whether all of the fault is set, and nothing of it was taken back: nobody can judge a part of one."""

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """The fault of a stack; None if none is set.

        Raises:
            StackError: the file cannot be read.
        """
        path = home / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(content["fault"]), dict(content["notes"]), int(content["hints"]), bool(content["whole"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StackError(f"{path} cannot be read ({error}): delete it, and start the stack anew") from error

    @classmethod
    def begin(cls, home: Path, fault: str) -> Self:
        """Remember a fault before anything of it is done.

        Raises:
            StackError: another one is set, or the file cannot be written.
        """
        memory = cls(fault)
        try:
            home.mkdir(parents=True, exist_ok=True)
            # A link refuses a second fault that another shell sets at the same time, and the file is whole at once.
            os.link(memory._draft(home), home / FILE)
        except FileExistsError as error:
            other = cls.read(home)
            raise StackError(
                f"{'a fault' if other is None else other.fault} is set already: repair it, or run 'newsroom lab heal'"
            ) from error
        except OSError as error:
            raise _unwritten(home, error) from error
        return memory

    def note(self, home: Path, name: str, value: str) -> Self:
        """Remember how to undo a change, before it is made.

        Raises:
            StackError: the file cannot be written.
        """
        return self._keep(home, replace(self, notes={**self.notes, name: value}))

    def hinted(self, home: Path) -> Self:
        """Remember that the learner had one more hint.

        Raises:
            StackError: the file cannot be written.
        """
        return self._keep(home, replace(self, hints=self.hints + 1))

    def marked(self, home: Path, *, whole: bool) -> Self:
        """Remember that everything of the fault is set, or that some of it may be taken back.

        Raises:
            StackError: the file cannot be written.
        """
        return self._keep(home, replace(self, whole=whole))

    def _draft(self, home: Path) -> Path:
        # A name of its own, so that two shells do not write one draft.
        draft = home / f"{FILE}.{os.getpid()}"
        # It may still be a link to the file, which must not be written in place.
        draft.unlink(missing_ok=True)
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return draft

    def _keep(self, home: Path, memory: Self) -> Self:
        try:
            memory._draft(home).replace(home / FILE)
        except OSError as error:
            raise _unwritten(home, error) from error
        return memory

    @staticmethod
    def forget(home: Path) -> None:
        """Forget the fault; nothing happens if none is set.

        Raises:
            StackError: the file cannot be deleted.
        """
        try:
            (home / FILE).unlink(missing_ok=True)
            for draft in home.glob(f"{FILE}.*"):
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritten(home, error) from error


def _unwritten(home: Path, error: OSError) -> StackError:
    return StackError(f"{home / FILE} cannot be written ({error.strerror}): free some space, and run it again")
