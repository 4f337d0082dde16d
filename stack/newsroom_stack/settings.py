"""Settings of the stack: `NEWSROOM_…` environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from newsroom_stack.errors import StackError
from newsroom_stack.layout import REPOSITORY


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "newsroom"


class StackSettings(BaseSettings):
    """Settings of the stack, as `NEWSROOM_…` environment variables."""

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_", frozen=True, extra="ignore")

    home: Path = Field(default=REPOSITORY / ".newsroom", description="data, logs and state of this stack")
    cache: Path = Field(default_factory=_user_cache, description="downloaded Kafka and registry")
    port_offset: int = Field(
        default=0, ge=0, le=15000, description="added to every port, so that two stacks can run side by side"
    )
    docker: bool = Field(default=False, description="run as containers, as --docker does")
    news_rate: float = Field(default=5.0, gt=0, description="headlines a second that the stack's producer sends")

    def as_environment(self) -> dict[str, str]:
        """The same settings as variables, for the supervisor's process."""
        return {f"NEWSROOM_{name.upper()}": str(value) for name, value in self}


def load_stack_settings() -> StackSettings:
    """Read the stack's settings.

    Raises:
        StackError: a variable has a wrong value; the message names it.
    """
    try:
        return StackSettings()
    except ValidationError as error:
        problems = [f"NEWSROOM_{str(e['loc'][0]).upper()}={e['input']!r}: {e['msg']}" for e in error.errors()]
        raise StackError("; ".join(problems)) from error
