"""What both stream services are set by. Loads no Kafka client: `--help` needs none."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from newsroom.settings import ServiceSettings


class StreamSettings(ServiceSettings):
    """What both stream services are set by."""

    consumer_group: str = Field(description="group id; also the prefix of the state's changelog and of transactions")
    state_dir: Path = Field(description="folder of the replicas' state, one slot each; shared by all replicas")
    commit_interval: float = Field(
        default=0.5, gt=0, le=5, description="seconds between commits; results are visible after a commit"
    )
    session_timeout: float = Field(
        default=10.0, ge=6, le=300, description="seconds without heartbeat after which a replica counts as dead"
    )
    static_membership: bool = Field(
        default=False,
        description="keep the partitions over a quick restart (group.instance.id per slot), "
        "but wait for the session timeout when a replica is gone",
    )
