"""Settings of join-service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from newsroom.streams.settings import StreamSettings


class JoinSettings(StreamSettings):
    """Joins labels with word counts exactly once; each option is also an environment variable NEWSROOM_X."""

    consumer_group: str = Field(
        default="join-service",
        description="group id; also the prefix of the state's changelog and of transactions",
    )
    state_dir: Path = Field(
        default=Path(".newsroom/data/state/join-service"),
        description="folder of the replicas' state, one slot each; shared by all replicas",
    )
