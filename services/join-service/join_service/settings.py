"""Settings of join-service."""

from __future__ import annotations

from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from newsroom.places import state_folder
from newsroom.streams.settings import ConsumerGroup, StateFolder, StreamSettings


class JoinSettings(StreamSettings):
    """Joins each label of the topic word with its word's count exactly once, and writes the pair to words-joined."""

    EXAMPLES: ClassVar = (
        ("--commit-interval 0.1", "show each pair after at most a tenth of a second"),
        ("--static-membership", "a quick restart keeps the partitions, so that the group does not rebalance"),
    )

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_JOIN_")

    consumer_group: ConsumerGroup = "join-service"
    state_dir: StateFolder = state_folder("join-service")
