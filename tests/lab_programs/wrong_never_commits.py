"""Wrong for at least once: it never commits, so each start begins at the first record."""

from confluent_kafka import Message
from kit import consumer, copy, producer, serve

copies = producer()


def handle(batch: list[Message]) -> None:
    copy(copies, batch)
    copies.flush()


serve(consumer(), handle)
