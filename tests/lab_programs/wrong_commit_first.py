"""Wrong for at least once: it commits before the effect, so a kill loses the batch."""

import time

from confluent_kafka import Message
from kit import commit, consumer, copy, producer, serve

member, copies = consumer(), producer()


def handle(batch: list[Message]) -> None:
    commit(member)
    time.sleep(0.2)  # work
    copy(copies, batch)
    copies.flush()


serve(member, handle, size=400)
