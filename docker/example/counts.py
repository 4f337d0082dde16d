"""Sends a sentence of new words and waits until each is counted once: a test of a pipeline, from outside of it."""

import os
import sys
import time
import uuid

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

SECONDS = 30.0
CLIENT = {"bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"]}


def ends(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """The topic's partitions at their ends: what comes later is the test's own."""
    partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
    return [TopicPartition(topic, number, OFFSET_END) for number in partitions]


def main() -> int:
    """Return 0 if every word was counted once."""
    run = uuid.uuid4().hex[:8]
    wanted = {f"example{run}x{number}": 1 for number in range(5)}
    consumer = Consumer(
        CLIENT | {"group.id": f"example-{run}", "enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    consumer.assign(ends(consumer, "word-counts"))
    consumer.poll(1.0)  # the ends are asked for now

    producer = Producer(CLIENT | {"enable.idempotence": True})
    producer.produce("mytopic", key="example", value=" ".join(wanted))
    if producer.flush(SECONDS):
        print(f"mytopic: no acknowledgement within {SECONDS:g} s", file=sys.stderr)
        return 1

    counts: dict[str, int] = {}
    end = time.monotonic() + SECONDS
    while counts != wanted and time.monotonic() < end:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            word = (message.key() or b"").decode()
            if word in wanted:
                counts[word] = int(message.value() or b"0")
    consumer.close()
    print(f"counted {counts}" if counts == wanted else f"wanted {wanted}, counted {counts} within {SECONDS:g} s")
    return 0 if counts == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
