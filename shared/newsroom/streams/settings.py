"""Settings that both stream services have. This module imports no Kafka client, because `--help` needs none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from newsroom.settings import ServiceSettings

ConsumerGroup = Annotated[
    str,
    # The changelog's name contains it, so it may have what a topic's name may have.
    Field(
        pattern=r"^[A-Za-z0-9._-]+$",
        max_length=150,
        description="consumer group id; also in the names of the changelog and of the transactional ids",
    ),
]
StateFolder = Annotated[
    Path,
    Field(description="folder for the state; all replicas share it, and each takes one slot in it"),
]


class StreamSettings(ServiceSettings):
    """Settings that both stream services have. A service sets the defaults of the first two."""

    consumer_group: ConsumerGroup
    state_dir: StateFolder
    commit_interval: float = Field(
        default=0.5, gt=0, le=5, description="seconds between commits; a result becomes visible with the next commit"
    )
    session_timeout: float = Field(
        default=10.0, ge=6, le=300, description="seconds without a heartbeat until the group removes a replica"
    )
    static_membership: bool = Field(
        default=False,
        description="a quickly restarted replica keeps its partitions (group.instance.id per slot), "
        "but the partitions of a stopped replica wait for the session timeout",
    )
