"""Settings that both stream services have. This module imports no Kafka client, because `--help` needs none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from newsroom.settings import ServiceSettings
from newsroom.topic_settings import LEGAL_NAME, LONGEST_NAME
from newsroom.topics import dead_letters_of

ConsumerGroup = Annotated[
    str,
    # The changelog's name contains it, so it may have what a topic's name may have.
    Field(
        pattern=LEGAL_NAME,
        max_length=150,
        description="consumer group id; also in the names of the internal topics and of the transactional ids",
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
        default=12.0, ge=6, le=60, description="seconds without a heartbeat until the group removes a replica"
    )
    static_membership: bool = Field(
        default=False,
        description="a quickly restarted replica keeps its partitions (group.instance.id per slot), "
        "but the partitions of a stopped replica wait for the session timeout",
    )
    delivery: Literal["exactly-once", "at-least-once"] = Field(
        default="exactly-once",
        description="exactly-once: results, state and offsets are one transaction; at-least-once: no transaction, and "
        "what was not committed before a crash is processed again: results repeat, and word counts are too high",
    )
    dlq_topic: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        max_length=LONGEST_NAME,
        description="dead-letter topic for poison records of all inputs; empty: GROUP.dlq",
    )

    @property
    def exactly_once(self) -> bool:
        """Whether results, state and offsets are committed in one transaction."""
        return self.delivery == "exactly-once"

    @property
    def dead_letter_topic(self) -> str:
        """The topic that takes poison records."""
        return self.dlq_topic or dead_letters_of(self.consumer_group)

    @model_validator(mode="after")
    def _each_topic_has_one_part(self) -> Self:
        """Refuse a topic that is read and written: its results would be its next inputs, forever."""
        roles: dict[str, str] = {}
        for role, name in self.topics().items():
            if name in roles:
                raise ValueError(f"{_option(roles[name])} and {_option(role)} are both {name}: give one another name")
            roles[name] = role
        return self

    def topics(self) -> dict[str, str]:
        """Every topic that the settings name, by its setting."""
        return {"dlq_topic": self.dead_letter_topic}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
