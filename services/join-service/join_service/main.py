"""Entry point of join-service: settings, topology, loop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from newsroom.streams.service import Plan, run_stream

if TYPE_CHECKING:
    from join_service.settings import JoinSettings
    from newsroom.streams.application import StreamApplication
    from newsroom.streams.dead_letters import DeadLetterTopic
    from newsroom.waiting import StopFlag

POLL_SECONDS = 0.05
"""Quix waits this long for 10,000 records before it releases fewer, so a result is late by half of it on average.
With Quix's default of a second that would be half a second."""


def run(settings: JoinSettings, stop: StopFlag) -> None:
    """Join until stopped."""
    plan = Plan(
        reads=(settings.labels_topic, settings.counts_topic),
        writes=(settings.joined_topic,),
        stateful=(settings.labels_topic, settings.counts_topic),
    )
    run_stream(settings, stop, plan, build=partial(_build, settings), poll_seconds=POLL_SECONDS)


def _build(settings: JoinSettings, app: StreamApplication, letters: DeadLetterTopic) -> None:
    # Imported when the cluster has answered: Quix takes longer to import than all the rest.
    from join_service.topology import build  # noqa: PLC0415

    build(app, settings, letters, app.after_commit)
