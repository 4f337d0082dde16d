"""Entry point of join-service: settings, topology, loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom.streams.service import run_stream
from newsroom.topics import WORD, WORD_COUNTS, WORDS_JOINED

if TYPE_CHECKING:
    from join_service.settings import JoinSettings
    from newsroom.streams.application import StreamApplication
    from newsroom.waiting import StopFlag

POLL_SECONDS = 0.05
"""Quix waits this long for 10,000 records before it releases fewer, so a result is late by half of it on average.
With Quix's default of a second that would be half a second."""


def run(settings: JoinSettings, stop: StopFlag) -> None:
    """Join until stopped."""
    run_stream(
        settings,
        stop,
        reads=(WORD.name, WORD_COUNTS.name),
        writes=(WORDS_JOINED.name,),
        stateful=(WORD.name, WORD_COUNTS.name),
        build=_build,
        poll_seconds=POLL_SECONDS,
    )


def _build(app: StreamApplication) -> None:
    # Imported when the cluster has answered: Quix takes longer to import than all the rest.
    from join_service.topology import build  # noqa: PLC0415

    build(app, app.after_commit)
