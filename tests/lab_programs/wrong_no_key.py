"""Wrong for every task with copies: they lose their keys, and with them their order."""

import os

from confluent_kafka import Message
from kit import commit, consumer, producer, serve

member, copies = consumer(), producer()


def handle(batch: list[Message]) -> None:
    for message in batch:
        copies.produce(os.environ["LAB_OUTPUT"], message.value())
    copies.flush()
    commit(member)


serve(member, handle)
