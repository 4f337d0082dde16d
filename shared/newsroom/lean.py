"""Leaves out parts of libraries that no service uses, and that cost half of the CPU time of a start."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

OAUTH = "authlib.integrations.httpx_client"
"""What Confluent's registry client imports for OAuth, which no setting of ours selects."""

COMMAND_LINE = "httpx._main"
"""httpx's own command line, which httpx does without if it cannot be imported."""


def leave_out_extras() -> None:
    """Call this before the clients' libraries are imported."""
    sys.modules.setdefault(OAUTH, _Late(OAUTH))
    _hide(COMMAND_LINE)


@contextmanager
def without(package: str) -> Iterator[None]:
    """What is imported inside takes an optional package for one that is not installed."""
    hidden = _hide(package)
    yield
    if hidden:
        del sys.modules[package]


def _hide(name: str) -> bool:
    """Make imports of a module fail, in Python's own way, unless it is loaded already."""
    if name in sys.modules:
        return False
    sys.modules[name] = None  # type: ignore[assignment]
    return True


class _Late(ModuleType):
    """Stands for a module until one of its classes is called."""

    @override
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def make(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            return getattr(importlib.import_module(self.__name__), name)(*arguments, **options)

        return make
