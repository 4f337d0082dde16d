"""Entry point of wordcount-stream: settings, identity, clients, loop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from newsroom.avro import AvroDecoder, registry_client
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
from newsroom.topics import WORD_DELTAS
from wordcount_stream.settings import WordcountSettings
from wordcount_stream.topology import TOPICS, build, declare_topics

if TYPE_CHECKING:
    from newsroom.lifecycle import StopFlag

log = get_logger(__name__)

POLL_SECONDS = 0.1
"""Quix looks at its commit interval (half a second) only between polls: a poll must be short against it."""


def run(settings: WordcountSettings, stop: StopFlag) -> None:
    """Count words until stopped."""
    health = Health(*NEEDS)
    with HealthServer(health, settings.http_host, settings.http_port), take_slot(settings.state_dir) as slot:
        log.info("replica", identity=identity(settings, slot), state=str(slot.folder))
        topics = await_topics(settings, TOPICS, stop)
        if stop:
            return
        prepare_changelog(settings, {WORD_DELTAS.name: topics[WORD_DELTAS.name]})
        app = build_application(settings, slot, health, stop, consumer_poll_timeout=POLL_SECONDS)
        with translated_errors():
            declared = declare_topics(app, AvroDecoder(registry_client(settings)))
            build(app, declared, log_counts=settings.log_counts)
        run_application(app)


def main() -> None:
    """Run the service."""
    sys.exit(run_service("wordcount-stream", WordcountSettings, run))


if __name__ == "__main__":
    main()
