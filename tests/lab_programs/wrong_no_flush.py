"""Wrong: it commits what is still in the producer's queue, and never looks whether it was stored."""

from confluent_kafka import Message
from kit import commit, consumer, copy, producer, serve

member, copies = consumer(), producer(**{"linger.ms": 2000})


def handle(batch: list[Message]) -> None:
    copy(copies, batch)
    commit(member)


serve(member, handle)
