"""Settings of wordcount-stream."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict
from typing_extensions import override

from newsroom.places import state_folder
from newsroom.streams.settings import ConsumerGroup, StateFolder, StreamSettings
from newsroom.topic_settings import LONGEST_NAME, NONE, CountsTopic, NewsTopic, StringsTopic
from newsroom.topics import MYTOPIC, NEWS, WORD_COUNTS, WORD_DELTAS

GROUP = "wordcount-stream"


class WordcountSettings(StreamSettings):
    """Counts the words of two topics, by default mytopic and news, and writes each new count to word-counts."""

    EXAMPLES: ClassVar = (
        ("--no-log-counts", "count without a log line for each count"),
        (
            "--consumer-group mine --news-topic posts --text-field body --counts-topic posts-words",
            "count the field body of the records of posts, beside the running pipeline",
        ),
    )

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_WORDCOUNT_")

    consumer_group: ConsumerGroup = GROUP
    state_dir: StateFolder = state_folder("wordcount-stream")
    strings_topic: StringsTopic = MYTOPIC.name
    news_topic: NewsTopic = NEWS.name
    text_field: str = Field(
        default="title", min_length=1, description="field of the Avro records whose words are counted"
    )
    subject: str = Field(
        default="",
        description="subject whose latest schema the Avro records are read with; empty: each record's own schema",
    )
    deltas_topic: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        max_length=LONGEST_NAME,
        description=f"internal topic of the group, between the two halves of the count; empty: {WORD_DELTAS.name} for "
        f"group {GROUP}, GROUP-{WORD_DELTAS.name} for another one",
    )
    counts_topic: CountsTopic = WORD_COUNTS.name
    registry_timeout: float = Field(
        default=60.0, ge=0, description="seconds to wait at the start for a schema registry that does not answer"
    )
    log_counts: bool = Field(
        default=True,
        description="log each new count (the lab's line), of more than 50 a second the newest",
    )

    @property
    def deltas_name(self) -> str:
        """The internal topic, which no two groups share: the deltas of one would be counted by the other."""
        own = WORD_DELTAS.name if self.consumer_group == GROUP else f"{self.consumer_group}-{WORD_DELTAS.name}"
        return self.deltas_topic or own

    @property
    def inputs(self) -> dict[str, str]:
        """The topics whose words are counted, by their settings."""
        named = {"strings_topic": self.strings_topic, "news_topic": self.news_topic}
        return {setting: name for setting, name in named.items() if name != NONE}

    @model_validator(mode="after")
    def _something_is_counted(self) -> Self:
        if not self.inputs:
            raise ValueError(f"--strings-topic and --news-topic are both {NONE}: nothing would be counted")
        return self

    @override
    def topics(self) -> dict[str, str]:
        return {
            **self.inputs,
            "deltas_topic": self.deltas_name,
            "counts_topic": self.counts_topic,
            **super().topics(),
        }
