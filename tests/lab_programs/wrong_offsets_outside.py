"""Wrong for exactly once: a transaction for the copies, and the offsets outside of it."""

import os
import time

from confluent_kafka import Message
from kit import commit, consumer, copy, producer, serve

member = consumer()
copies = producer(**{"transactional.id": f"{os.environ['LAB_GROUP']}-{os.environ['LAB_MEMBER']}"})
copies.init_transactions(30)


def handle(batch: list[Message]) -> None:
    copies.begin_transaction()
    copy(copies, batch)
    copies.commit_transaction()
    time.sleep(0.2)  # work
    commit(member)


serve(member, handle)
