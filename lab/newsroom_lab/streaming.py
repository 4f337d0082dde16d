"""Streams of an experiment's own: the services with topics, groups and state that nobody else uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer

from newsroom.waiting import Deadline
from newsroom_lab.lab import NotSeen

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Generator
    from pathlib import Path

    from confluent_kafka import Message

    from newsroom_lab.lab import Lab

STARTED = r"partitions assigned"
"""A line of a stream that has its partitions."""

READ_SECONDS = 90.0
"""How long a member may take to a topic's end; on a busy machine it joins its group for seconds."""

POLL_SECONDS = 0.2


def wordcount(group: str, texts: str, counts: str, state: Path, *options: str) -> tuple[str, ...]:
    """The command of a wordcount-stream that counts the words of `texts` in `counts`."""
    places = ("--strings-topic", texts, "--news-topic", "none", "--counts-topic", counts, "--state-dir", str(state))
    return ("wordcount-stream", "--consumer-group", group, *places, *options)


def read_to_end(lab: Lab, group: str, topic: str) -> Generator[Message, None, None]:
    """A member of a group reads to the topic's end. It commits a record when the caller takes the next one.

    Raises:
        NotSeen: the group has not committed everything in time.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": lab.ports.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    deadline = Deadline(READ_SECONDS)
    try:
        while not deadline.passed():
            message = consumer.poll(POLL_SECONDS)
            if message is not None and not message.error():
                yield message
                consumer.commit(message, asynchronous=False)
            elif lab.lag(group, topic) == 0:
                return
    finally:
        consumer.close()
    raise NotSeen(f"group {group} did not read topic {topic} to its end within {READ_SECONDS:g} s")


def count_by_hand(lab: Lab, group: str, topic: str, counts: Counter[str]) -> None:
    """A first program: read to the end, count in memory, commit."""
    for message in read_to_end(lab, group, topic):
        counts.update((message.value() or b"").decode().split())
