"""Settings of join-service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from newsroom.streams.settings import StreamSettings


class JoinSettings(StreamSettings):
    """Joins labels with word counts exactly once."""

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_JOIN_")

    consumer_group: str = Field(
        default="join-service",
        description="consumer group id; also in the names of the changelog and of the transactional ids",
    )
    state_dir: Path = Field(
        default=Path(".newsroom/data/state/join-service"),
        description="folder for the state; all replicas share it, and each takes one slot in it",
    )
