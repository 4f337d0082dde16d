"""Right: copies and offsets in one transaction."""

import os

from confluent_kafka import KafkaException, Message, TopicPartition
from kit import consumer, copy, producer, serve

member = consumer()
copies = producer(**{"transactional.id": f"{os.environ['LAB_GROUP']}-{os.environ['LAB_MEMBER']}"})
copies.init_transactions(30)


def handle(batch: list[Message]) -> None:
    copies.begin_transaction()
    try:
        copy(copies, batch)
        places = [place for place in member.position(member.assignment()) if place.offset >= 0]
        copies.send_offsets_to_transaction(places, member.consumer_group_metadata())
        copies.commit_transaction()
    except KafkaException as error:
        if error.args[0].fatal():
            raise
        copies.abort_transaction()
        rewind()


def rewind() -> None:
    """Go back to the last commit."""
    for place in member.committed(member.assignment(), 10):
        member.seek(TopicPartition(place.topic, place.partition, max(0, place.offset)))


serve(member, handle)
