"""Wrong for at most once: effects first, so a kill before the commit repeats them."""

import time

from confluent_kafka import Message
from kit import commit, consumer, copy, producer, serve

member, copies = consumer(), producer()


def handle(batch: list[Message]) -> None:
    copy(copies, batch)
    copies.flush()
    time.sleep(0.2)  # work
    commit(member)


serve(member, handle, size=400)
