"""Settings of wordcount-stream."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from newsroom.streams.settings import StreamSettings


class WordcountSettings(StreamSettings):
    """Counts words exactly once."""

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_WORDCOUNT_")

    consumer_group: str = Field(
        default="wordcount-stream",
        description="consumer group id; also in the names of the changelog and of the transactional ids",
    )
    state_dir: Path = Field(
        default=Path(".newsroom/data/state/wordcount-stream"),
        description="folder for the state; all replicas share it, and each takes one slot in it",
    )
    registry_timeout: float = Field(
        default=60.0, ge=0, description="seconds to wait at the start for a schema registry that does not answer"
    )
    log_counts: bool = Field(
        default=True,
        description="log each new count (the lab's line); turn it off above a few thousand counts a second",
    )
