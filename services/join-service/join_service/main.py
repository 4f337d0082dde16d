"""Entry point of join-service: settings, identity, clients, loop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from join_service.settings import JoinSettings
from join_service.topology import TOPICS, build, declare_topics
from newsroom.health import Health, HealthServer
from newsroom.lifecycle import run_service
from newsroom.logs import get_logger
from newsroom.slots import take_slot
from newsroom.stream_topics import await_topics, prepare_changelog
from newsroom.streams import (
    NEEDS,
    build_application,
    identity,
    run_application,
    translated_errors,
)
from newsroom.topics import WORD, WORD_COUNTS

if TYPE_CHECKING:
    from newsroom.lifecycle import StopFlag

log = get_logger(__name__)

POLL_SECONDS = 0.05
"""Quix waits so long for 10,000 records before it releases the few that are there: it is the join's latency. Half
of it on average; Quix's default of a second makes a result half a second late."""


def run(settings: JoinSettings, stop: StopFlag) -> None:
    """Join until stopped."""
    health = Health(*NEEDS)
    with HealthServer(health, settings.http_host, settings.http_port), take_slot(settings.state_dir) as slot:
        log.info("replica", identity=identity(settings, slot), state=str(slot.folder))
        topics = await_topics(settings, TOPICS, stop)
        if stop:
            return
        prepare_changelog(settings, {name: topics[name] for name in (WORD.name, WORD_COUNTS.name)})
        app = build_application(settings, slot, health, stop, consumer_poll_timeout=POLL_SECONDS)
        with translated_errors():
            build(app, declare_topics(app))
        run_application(app)


def main() -> None:
    """Run the service."""
    sys.exit(run_service("join-service", JoinSettings, run))


if __name__ == "__main__":
    main()
