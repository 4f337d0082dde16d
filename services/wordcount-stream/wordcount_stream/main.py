"""Entry point of wordcount-stream: settings, clients, topology, loop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from newsroom.schemas.addresses import check_addresses
from newsroom.streams.service import Plan, run_stream
from newsroom.topics import NEWS, NEWS_TYPE, WORD_COUNTS
from wordcount_stream.settings import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom.streams.application import StreamApplication
    from newsroom.streams.dead_letters import DeadLetterTopic
    from newsroom.streams.decoding import Headers
    from newsroom.waiting import StopFlag
    from wordcount_stream.settings import WordcountSettings

POLL_SECONDS = 0.1
"""Quix checks its commit interval (half a second) only between polls, so a poll must be much shorter."""

RUNNING_SECONDS = 25.0
"""How long a record may wait for its schema. Quix's transaction may then be aborted: the replica reads it again."""


def run(settings: WordcountSettings, stop: StopFlag) -> None:
    """Count words until stopped.

    Raises:
        NewsroomError: the service cannot continue; its open transaction was not committed.
    """
    if "news_topic" in settings.inputs:
        check_addresses(settings.registry_url)
    plan = Plan(
        reads=(*settings.inputs.values(), settings.deltas_name),
        writes=(settings.deltas_name, settings.counts_topic),
        stateful=(settings.deltas_name,),
        keyed=(settings.counts_topic,),
        internal=(settings.deltas_name,),
        rebuild=_rebuild(settings),
    )
    run_stream(settings, stop, plan, build=partial(_build, settings, stop), poll_seconds=POLL_SECONDS)


def _rebuild(settings: WordcountSettings) -> str:
    """The command that counts all words again."""
    group, table = settings.consumer_group, settings.counts_topic
    options = f" --group {group}" if group != GROUP else ""
    options += f" --table {table}" if table != WORD_COUNTS.name else ""
    return f"newsroom replay wordcount-stream{options} --execute"


def _build(settings: WordcountSettings, stop: StopFlag, app: StreamApplication, letters: DeadLetterTopic) -> None:
    # Imported when the cluster has answered: Quix takes longer to import than all the rest.
    from wordcount_stream.topology import build  # noqa: PLC0415

    decode = _decoder(settings, stop) if "news_topic" in settings.inputs else None
    build(app, settings, letters, decode, after_commit=app.after_commit if settings.log_counts else None)


def _decoder(settings: WordcountSettings, stop: StopFlag) -> Callable[[bytes, Headers], dict[str, Any]]:
    # As above, of the registry's client.
    from newsroom.schemas.avro import AvroDecoder  # noqa: PLC0415
    from newsroom.schemas.registry import Patience, check_registry, latest_schema, registry_client  # noqa: PLC0415

    topic = settings.news_topic
    registry = registry_client(settings, stop)
    start = Patience(settings.registry_timeout, stop)
    # Check the registry now, so that a wrong address fails at the start and not at the first article.
    start.ask(partial(check_registry, registry), f"topic {topic}")
    ask = partial(latest_schema, registry, settings.subject)
    reader = start.ask(ask, f"subject {settings.subject}").schema if settings.subject else None
    # Less than the 60 s after which the group gives the partitions of a loop that stands still to others.
    patience = Patience(min(settings.registry_timeout, RUNNING_SECONDS), stop)
    expected = NEWS_TYPE if topic == NEWS.name else None
    decoder = AvroDecoder(registry, reader, topic=topic, patience=patience, expected=expected)
    return lambda value, headers: decoder.decode(value, headers).fields
