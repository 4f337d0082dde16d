"""The figures of the pipeline: how far each stage has read and what it has produced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsroom.topics import MYTOPIC, NEWS, NEWS_DLQ, WORD, WORD_COUNTS, WORD_DELTAS, WORDS_JOINED
from status_api.model import INTERNAL_PREFIXES, UNKNOWN, Group
from status_api.sums import sum_some

if TYPE_CHECKING:
    from status_api.model import Snapshot
    from status_api.settings import StatusSettings

SHOWN_TOPICS = (NEWS, MYTOPIC, NEWS_DLQ, WORD_COUNTS, WORD, WORDS_JOINED)

ABSENT = "Absent"
"""The state of a stage whose group does not exist, or does not exist yet."""


@dataclass(frozen=True)
class Stage:
    """A consumer group in the pipeline. None means that the group has never committed.

    `consumed` is the sum of its committed offsets. That is not the number of lines in the connector's file.
    """

    group: str
    state: str
    members: int
    consumed: int | None
    lag: int | None
    error: str | None
    trouble: tuple[str, ...] = ()
    caught_up: bool = False


@dataclass(frozen=True)
class Pipeline:
    """The live figures. None means not known: the topic is missing, or the group has never committed."""

    records: dict[str, int | None]
    produced: dict[str, int | None]
    produced_total: int | None
    dead_letters: int | None
    stages: dict[str, Stage]
    """The consumer, the word count, the join and the connector."""


def pipeline(snapshot: Snapshot, settings: StatusSettings) -> Pipeline:
    """Compute the pipeline's figures from a snapshot; the settings name the consumer group of each stage."""
    topics = {topic.name: snapshot.topic(topic.name) for topic in SHOWN_TOPICS}
    records = {name: topic.records if topic else None for name, topic in topics.items()}
    produced = {name: topic.produced if topic else None for name, topic in topics.items()}
    return Pipeline(
        records=records,
        produced=produced,
        produced_total=sum_some((produced[NEWS.name], produced[MYTOPIC.name])),
        dead_letters=records[NEWS_DLQ.name],
        stages={
            "consumer": _stage(snapshot, settings.news_group),
            "wordcount": _stage(snapshot, settings.wordcount_group),
            "join": _stage(snapshot, settings.join_group),
            "connector": _stage(snapshot, settings.connector_group),
        },
    )


def _stage(snapshot: Snapshot, group_id: str) -> Stage:
    group = snapshot.group(group_id)
    absent = UNKNOWN if snapshot.unlisted else ABSENT
    state = group.state if group else absent
    group = group or Group(group_id)
    # The word count's intermediate topic and its state topics are not input of the pipeline.
    consumed = sum_some(
        row.committed
        for row in group.partitions
        if row.topic != WORD_DELTAS.name and not row.topic.startswith(INTERNAL_PREFIXES)
    )
    return Stage(group_id, state, len(group.members), consumed, group.lag, group.error, group.trouble, group.caught_up)
