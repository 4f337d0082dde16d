"""Wrong for the join: it keeps the first count of each word, and not the last."""

import json
import os

from confluent_kafka import Message, TopicPartition
from kit import commit, consumer, producer, serve

topic = os.environ["LAB_TABLE"]
reader = consumer()
partitions = reader.list_topics(topic, 10).topics[topic].partitions
reader.assign([TopicPartition(topic, number, 0) for number in partitions])
table: dict[bytes, int] = {}
ends = sum(reader.get_watermark_offsets(TopicPartition(topic, number), 10)[1] for number in partitions)
while ends > 0:
    for message in reader.consume(100, 0.5):
        table.setdefault(message.key(), int(message.value()))
        ends -= 1
reader.close()
member, results = consumer(), producer()


def handle(batch: list[Message]) -> None:
    for message in batch:
        if message.key() in table:
            value = json.dumps({"count": table[message.key()], "label": message.value().decode()})
            results.produce(os.environ["LAB_OUTPUT"], value, message.key())
    results.flush()
    commit(member)


serve(member, handle)
