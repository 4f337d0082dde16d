"""Wrong for the dead-letter consumer: the first poison record ends it, and again after each start."""

import sys

from confluent_kafka import Message
from kit import commit, consumer, serve

member = consumer()


def handle(batch: list[Message]) -> None:
    for message in batch:
        if message.value()[:1] != b"\0" or len(message.value()) < 6:
            sys.exit(f"offset {message.offset()} is not Avro")
    commit(member)


serve(member, handle)
