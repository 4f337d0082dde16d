"""Wrong for the lag monitor: it joins the group that it should only watch."""

import os

from confluent_kafka import Message
from kit import consumer, producer, serve

member, notes = consumer(**{"enable.auto.commit": True, "auto.commit.interval.ms": 500}), producer()


def handle(_: list[Message]) -> None:
    for place in member.position(member.assignment()):
        end = member.get_watermark_offsets(place, 5)[1]
        notes.produce(os.environ["LAB_OUTPUT"], str(end - max(0, place.offset)), str(place.partition))
    notes.flush()


serve(member, handle)
