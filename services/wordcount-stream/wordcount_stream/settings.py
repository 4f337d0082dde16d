"""Settings of wordcount-stream."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from newsroom.places import state_folder
from newsroom.streams.settings import ConsumerGroup, StateFolder, StreamSettings


class WordcountSettings(StreamSettings):
    """Counts the words of the topics mytopic and news exactly once, and writes each new count to word-counts."""

    EXAMPLES: ClassVar = (
        ("--no-log-counts", "count without a log line for each count"),
        ("--commit-interval 0.1", "show each count after at most a tenth of a second"),
    )

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_WORDCOUNT_")

    consumer_group: ConsumerGroup = "wordcount-stream"
    state_dir: StateFolder = state_folder("wordcount-stream")
    registry_timeout: float = Field(
        default=60.0, ge=0, description="seconds to wait at the start for a schema registry that does not answer"
    )
    log_counts: bool = Field(
        default=True,
        description="log each new count (the lab's line), of more than 50 a second the newest",
    )
