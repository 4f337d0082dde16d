"""Entry point of wordcount-stream: settings, clients, topology, loop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from newsroom.schemas.addresses import check_addresses
from newsroom.streams.service import run_stream
from newsroom.topics import MYTOPIC, NEWS, NEWS_TYPE, WORD_COUNTS, WORD_DELTAS

if TYPE_CHECKING:
    from newsroom.streams.application import StreamApplication
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
    check_addresses(settings.registry_url)
    run_stream(
        settings,
        stop,
        reads=(MYTOPIC.name, NEWS.name, WORD_DELTAS.name),
        writes=(WORD_DELTAS.name, WORD_COUNTS.name),
        stateful=(WORD_DELTAS.name,),
        keyed=(WORD_COUNTS.name,),
        build=partial(_build, settings, stop),
        poll_seconds=POLL_SECONDS,
    )


def _build(settings: WordcountSettings, stop: StopFlag, app: StreamApplication) -> None:
    # Imported when the cluster has answered: Quix and the registry's client take longer to import than all the rest.
    from newsroom.schemas.avro import AvroDecoder  # noqa: PLC0415
    from newsroom.schemas.registry import Patience, check_registry, registry_client  # noqa: PLC0415
    from wordcount_stream.topology import build  # noqa: PLC0415

    registry = registry_client(settings, stop)
    # Check the registry now, so that a wrong address fails at the start and not at the first article.
    Patience(settings.registry_timeout, stop).ask(partial(check_registry, registry), f"topic {NEWS.name}")
    # Less than the 60 s after which the group gives the partitions of a loop that stands still to others.
    patience = Patience(min(settings.registry_timeout, RUNNING_SECONDS), stop)
    decoder = AvroDecoder(registry, topic=NEWS.name, patience=patience, expected=NEWS_TYPE)
    build(
        app,
        lambda *value: decoder.decode(*value).fields,
        after_commit=app.after_commit if settings.log_counts else None,
    )
