"""Entry point of wordcount-stream: settings, clients, topology, loop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from newsroom.schemas.avro import AvroDecoder
from newsroom.schemas.registry import Patience, check_registry, registry_client
from newsroom.streams.service import run_stream
from newsroom.topics import MYTOPIC, NEWS, WORD_COUNTS, WORD_DELTAS
from wordcount_stream.topology import build

if TYPE_CHECKING:
    from newsroom.waiting import StopFlag
    from wordcount_stream.settings import WordcountSettings

POLL_SECONDS = 0.1
"""Quix checks its commit interval (half a second) only between polls, so a poll must be much shorter."""

REGISTRY_RETRIES: dict[str, Any] = {"max.retries": 3, "retries.wait.ms": 250, "retries.max.wait.ms": 1000}
"""A starting registry answers 503. Retry for about a second, because a stopped replica costs the group a rebalance,
but not longer, because the cluster aborts an open transaction after 15 s."""


def run(settings: WordcountSettings, stop: StopFlag) -> None:
    """Count words until stopped.

    Raises:
        NewsroomError: the service cannot continue; its open transaction was not committed.
    """
    registry = registry_client(settings, **REGISTRY_RETRIES)
    # Check the registry now, so that a wrong address fails at the start and not at the first article.
    Patience(settings.registry_timeout, stop).ask(partial(check_registry, registry), f"topic {NEWS.name}")

    run_stream(
        settings,
        stop,
        reads=(MYTOPIC.name, NEWS.name, WORD_DELTAS.name),
        writes=(WORD_DELTAS.name, WORD_COUNTS.name),
        stateful=(WORD_DELTAS.name,),
        keyed=(WORD_COUNTS.name,),
        build=lambda app: build(
            app, AvroDecoder(registry).decode, after_commit=app.after_commit if settings.log_counts else None
        ),
        poll_seconds=POLL_SECONDS,
    )
