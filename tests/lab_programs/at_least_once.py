"""Right: the effects are stored before their offsets are committed. It is right for the task consumer, too."""

from confluent_kafka import Message
from kit import commit, consumer, copy, producer, serve

member, copies = consumer(), producer()


def handle(batch: list[Message]) -> None:
    copy(copies, batch)
    copies.flush()
    commit(member)


serve(member, handle)
