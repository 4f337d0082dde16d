"""Settings of join-service."""

from __future__ import annotations

from typing import ClassVar

from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from newsroom.places import state_folder
from newsroom.streams.settings import ConsumerGroup, StateFolder, StreamSettings
from newsroom.topic_settings import CountsTopic, JoinedTopic, LabelsTopic  # noqa: TC001 - pydantic needs them
from newsroom.topics import WORD, WORD_COUNTS, WORDS_JOINED


class JoinSettings(StreamSettings):
    """Joins each label, by default of the topic word, with its word's count, and writes the pair to words-joined."""

    EXAMPLES: ClassVar = (
        ("--commit-interval 0.1", "show each pair after at most a tenth of a second"),
        ("--static-membership", "a quick restart keeps the partitions, so that the group does not rebalance"),
    )

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_JOIN_")

    consumer_group: ConsumerGroup = "join-service"
    state_dir: StateFolder = state_folder("join-service")
    labels_topic: LabelsTopic = WORD.name
    counts_topic: CountsTopic = WORD_COUNTS.name
    joined_topic: JoinedTopic = WORDS_JOINED.name

    @override
    def topics(self) -> dict[str, str]:
        return {
            "labels_topic": self.labels_topic,
            "counts_topic": self.counts_topic,
            "joined_topic": self.joined_topic,
            **super().topics(),
        }
