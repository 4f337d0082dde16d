"""What a fault is: its symptom, how it is set, how it is judged, the hints and the solution."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from newsroom_lab.repair.memory import home_of
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom_lab.repair.site import Site
    from newsroom_stack.interface import Stack


class UnknownFault(StackError):
    """No fault has this name or number."""


@dataclass(frozen=True)
class Seen:
    """What a check saw."""

    works: bool
    what: str
    """What was sent and what became of it, in one sentence."""


@dataclass(frozen=True)
class Fault:
    """Something that is broken on purpose. `newsroom lab heal` undoes it from the notes that its `Site` keeps."""

    number: int
    symptom: str
    """What an operator hears, without the cause. `{home}` is the folder of the stack."""
    set: Callable[[Site], None]
    """Sets it into a running stack."""
    check: Callable[[Site], Seen]
    """Looks whether what is sent now arrives as it should."""
    hints: tuple[str, str, str]
    """Where to look, what to notice there, what to do."""
    cause: str
    """What was wrong, for a reader who has repaired it."""
    solution: tuple[str, ...]
    """The commands that repair it. `{home}`, `{connect}` and `{registry}` are the stack's folder and addresses."""
    quick: bool = field(default=False)
    """Whether `make test` sets, solves and heals it."""
    name: str = ""
    """Its module's name, with hyphens; it tells the symptom, too."""


@cache
def faults() -> Mapping[str, Fault]:
    """Every fault by its name, in the order of their numbers."""
    package = importlib.import_module("newsroom_lab.repair.faults")
    known = []
    for module in pkgutil.iter_modules(package.__path__):
        fault: Fault = importlib.import_module(f"{package.__name__}.{module.name}").FAULT
        object.__setattr__(fault, "name", module.name.replace("_", "-"))
        known.append(fault)
    known.sort(key=lambda fault: fault.number)
    return MappingProxyType({fault.name: fault for fault in known})


def fault_of(name: str) -> Fault:
    """The fault of that name or number.

    Raises:
        UnknownFault: there is none; the message lists similar names.
    """
    for fault in faults().values():
        if name in {fault.name, str(fault.number)}:
            return fault
    similar = difflib.get_close_matches(name, faults(), n=3, cutoff=0.4) or list(faults())
    raise UnknownFault(f"there is no fault '{name}': {', '.join(similar)} ('newsroom lab break' lists the symptoms)")


def places(stack: Stack) -> Mapping[str, str]:
    """What the texts of a fault name: the folder of the stack and the addresses of its servers."""
    return {
        "home": str(home_of(stack.settings)),
        "connect": f"http://localhost:{stack.ports.connect}",
        "registry": stack.ports.registry_url,
    }
