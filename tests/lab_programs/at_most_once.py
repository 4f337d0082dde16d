"""Right: the offsets are committed before the first effect, and a batch whose commit fails is dropped."""

from confluent_kafka import Message
from kit import commit, consumer, copy, producer, serve

member, copies = consumer(), producer()


def handle(batch: list[Message]) -> None:
    if commit(member):
        copy(copies, batch)
        copies.flush()


serve(member, handle)
