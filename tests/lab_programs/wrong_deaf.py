"""Wrong: it does not listen to SIGTERM."""

from confluent_kafka import Message
from kit import STOP, commit, consumer, copy, producer, serve

member, copies = consumer(), producer()


def handle(batch: list[Message]) -> None:
    copy(copies, batch)
    copies.flush()
    commit(member)


while True:
    serve(member, handle)
    STOP.clear()
    member = consumer()
