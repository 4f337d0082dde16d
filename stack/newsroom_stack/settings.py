"""Settings of the stack: `NEWSROOM_…` environment variables.

A dataclass and not pydantic's settings: importing pydantic takes longer than `newsroom ps` may take.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsroom.addresses import offset_of
from newsroom_stack.errors import StackError
from newsroom_stack.layout import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "NEWSROOM_"

YES, NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


def _user_cache() -> Path:
    own = os.environ.get(f"{PREFIX}CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "newsroom"


@dataclass(frozen=True)
class StackSettings:
    """Settings of the stack, as `NEWSROOM_…` environment variables."""

    home: Path = REPOSITORY / ".newsroom"
    """Data, logs and state of this stack."""
    cache: Path = field(default_factory=_user_cache)
    """Downloaded Kafka and registry."""
    port_offset: int = 0
    """Added to every port, so that two stacks can run side by side."""
    docker: bool = False
    """Run as containers, as --docker does."""
    news_rate: float = 5.0
    """Headlines a second that the stack's producer sends."""

    def as_environment(self) -> dict[str, str]:
        """The same settings as variables, for the supervisor's process."""
        return {f"{PREFIX}{setting.name.upper()}": str(getattr(self, setting.name)) for setting in fields(self)}


def load_stack_settings() -> StackSettings:
    """Read the stack's settings. An empty variable is not set.

    Raises:
        StackError: a variable has a wrong value; the message names it.
    """
    values: dict[str, Any] = {}
    problems = []
    for name, read in READERS.items():
        variable = f"{PREFIX}{name.upper()}"
        if text := os.environ.get(variable):
            try:
                values[name] = read(text)
            except ValueError as error:
                problems.append(f"{variable}={text!r}: {error}")
    if problems:
        raise StackError("; ".join(problems))
    return StackSettings(**values)


def status_login() -> dict[str, str]:
    """The header that the stack's status API wants, which takes its token from the same variable; none without one."""
    token = os.environ.get(f"{PREFIX}STATUS_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _switch(text: str) -> bool:
    if text.lower() not in YES | NO:
        raise ValueError("it must be 1 or 0")
    return text.lower() in YES


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise ValueError("it must be a number greater than 0")
    return rate


READERS: dict[str, Callable[[str], object]] = {
    "home": Path,
    "cache": Path,
    "port_offset": offset_of,
    "docker": _switch,
    "news_rate": _rate,
}
