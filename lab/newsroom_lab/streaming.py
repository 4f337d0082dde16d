"""Streams of an experiment's own: the services with topics, groups and state that nobody else uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from newsroom_lab.lab import Lab

STARTED = r"partitions assigned"
"""A line of a stream that has its partitions."""

IDLE_POLLS = 15
POLL_SECONDS = 0.2


def wordcount(group: str, texts: str, counts: str, state: Path, *options: str) -> tuple[str, ...]:
    """The command of a wordcount-stream that counts the words of `texts` in `counts`."""
    places = ("--strings-topic", texts, "--news-topic", "none", "--counts-topic", counts, "--state-dir", str(state))
    return ("wordcount-stream", "--consumer-group", group, *places, *options)


def count_by_hand(lab: Lab, group: str, topic: str, counts: Counter[str]) -> None:
    """A first program: read to the end, count in memory, commit."""
    consumer = Consumer(
        {
            "bootstrap.servers": lab.ports.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    idle = 0
    try:
        while idle < IDLE_POLLS:
            message = consumer.poll(POLL_SECONDS)
            if message is None or message.error():
                idle += 1
                continue
            counts.update((message.value() or b"").decode().split())
            consumer.commit(message, asynchronous=False)
    finally:
        consumer.close()
