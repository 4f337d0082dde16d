"""Settings of wordcount-stream."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from newsroom.streams.settings import StreamSettings


class WordcountSettings(StreamSettings):
    """Counts words exactly once; each option is also an environment variable NEWSROOM_X."""

    consumer_group: str = Field(
        default="wordcount-stream",
        description="group id; also the prefix of the state's changelog and of transactions",
    )
    state_dir: Path = Field(
        default=Path(".newsroom/data/state/wordcount-stream"),
        description="folder of the replicas' state, one slot each; shared by all replicas",
    )
    registry_timeout: float = Field(
        default=60.0, ge=0, description="seconds to keep asking a schema registry that does not answer, at the start"
    )
    log_counts: bool = Field(
        default=True, description="log each new count (the lab's line); turn off above some thousand counts a second"
    )
