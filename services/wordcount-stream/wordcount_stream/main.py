"""Entry point of wordcount-stream: settings, clients, topology, loop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from newsroom.avro import AvroDecoder, registry_client
from newsroom.lifecycle import run_service
from newsroom.stream_service import run_stream
from newsroom.topics import WORD_DELTAS
from wordcount_stream.settings import WordcountSettings
from wordcount_stream.topology import TOPICS, build, declare_topics

if TYPE_CHECKING:
    from newsroom.lifecycle import StopFlag
    from newsroom.streams import StreamApplication

POLL_SECONDS = 0.1
"""Quix looks at its commit interval (half a second) only between polls: a poll must be short against it."""


def run(settings: WordcountSettings, stop: StopFlag) -> None:
    """Count words until stopped."""

    def add_dataframes(app: StreamApplication) -> None:
        topics = declare_topics(app, AvroDecoder(registry_client(settings)))
        build(app, topics, log_counts=settings.log_counts)

    run_stream(
        settings, stop, topics=TOPICS, stateful=(WORD_DELTAS.name,), build=add_dataframes, poll_seconds=POLL_SECONDS
    )


def main() -> None:
    """Run the service."""
    sys.exit(run_service("wordcount-stream", WordcountSettings, run))


if __name__ == "__main__":
    main()
