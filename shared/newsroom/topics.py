"""The topics of the pipeline, declared once. `provision` creates them; everything else only names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

REPLICATION_FACTOR: Final = 3
"""Every topic is on all three brokers, so each of them may fail."""

MIN_INSYNC_REPLICAS: Final = 2
"""At least two brokers store a write before it is acknowledged, so one of them may fail right after."""

MAX_RECORD_BYTES: Final = 1_048_588
"""Kafka's default limit of a batch (max.message.bytes), which our topics keep."""

DEAD_LETTER_BYTES: Final = MAX_RECORD_BYTES + 64 * 1024
"""A dead letter is a record of any size that its topic accepts, with headers that say where it comes from."""

DEAD_LETTERS: Final[Mapping[str, str]] = {"max.message.bytes": str(DEAD_LETTER_BYTES)}
COMPACT: Final[Mapping[str, str]] = {"cleanup.policy": "compact"}


@dataclass(frozen=True)
class DeclaredTopic:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    replication_factor: int = REPLICATION_FACTOR

    def full_config(self) -> dict[str, str]:
        """The topic's configuration as `create_topics` takes it."""
        return {"min.insync.replicas": str(in_sync_for(self.replication_factor)), **self.config}


def in_sync_for(replicas: int) -> int:
    """The in-sync replicas that a write needs: one of the topic's brokers may fail, unless there is only one."""
    return min(MIN_INSYNC_REPLICAS, max(1, replicas - 1))


def dead_letters_of(name: str) -> str:
    """The dead-letter topic of a topic, or of a consumer group."""
    return f"{name}.dlq"


MYTOPIC: Final = DeclaredTopic("mytopic", partitions=5)
"""The lab's strings: `key$i` with `value$i` and `filter$i`."""

NEWS: Final = DeclaredTopic("news", partitions=6)
"""Article id to Avro `News`."""

NEWS_TYPE: Final = "newsroom.News"
"""The Avro type of the records of `news`."""

NEWS_DLQ: Final = DeclaredTopic("news.dlq", partitions=6, config=DEAD_LETTERS)
"""Poison records of `news` as avro-consumer received them, with their origin and error in headers."""

WORDCOUNT_DLQ: Final = DeclaredTopic("wordcount-stream.dlq", partitions=1, config=DEAD_LETTERS)
"""Poison records of wordcount-stream's inputs."""

JOIN_DLQ: Final = DeclaredTopic("join-service.dlq", partitions=1, config=DEAD_LETTERS)
"""Poison records of join-service's inputs."""

WORD_DELTAS: Final = DeclaredTopic("word-deltas", partitions=6)
"""Internal to wordcount-stream: counts since the last checkpoint, combined per target partition."""

WORD_COUNTS: Final = DeclaredTopic("word-counts", partitions=6, config=COMPACT)
"""The table: word to count. Joined with `word`, so both have the same number of partitions."""

WORD: Final = DeclaredTopic("word", partitions=6)
"""The lab's stream side of the join: word to label."""

WORDS_JOINED: Final = DeclaredTopic("words-joined", partitions=6)
"""Word to count and label."""

ALL_TOPICS: Final = (
    *(MYTOPIC, NEWS, NEWS_DLQ, WORD_DELTAS, WORD_COUNTS, WORD, WORDS_JOINED),
    *(WORDCOUNT_DLQ, JOIN_DLQ),
)

REGISTRY_GROUPS: Final = "apicurio-"
"""Prefix of the registry's consumer groups: it makes new ones at each start and leaves the old ones behind."""

NEWS_SUBJECT: Final = "news-value"
"""The registry's name for the schemas of `news` (the topic-name strategy)."""
