"""TODO markers show the gaps. TASK.txt says what the program must do."""

import os
import signal

from confluent_kafka import Consumer, Producer

stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

consumer = Consumer(
    {
        "bootstrap.servers": os.environ["LAB_BOOTSTRAP"],
        "group.id": os.environ["LAB_GROUP"],
        "session.timeout.ms": int(os.environ["LAB_SESSION_MS"]),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
producer = Producer(
    {
        "bootstrap.servers": os.environ["LAB_BOOTSTRAP"],
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
    }
)
consumer.subscribe([os.environ["LAB_INPUT"]])


def is_news(value):
    """Whether a value is Avro of the topic's schema."""
    # TODO: AvroDeserializer(SchemaRegistryClient({"url": os.environ["LAB_REGISTRY"]})) raises an error for poison.
    return True


while not stop:
    batch = [message for message in consumer.consume(100, timeout=0.5) if not message.error()]
    if not batch:
        continue
    for message in batch:
        if not is_news(message.value()):
            # TODO: send it to LAB_DEAD_LETTERS as it is, with headers that say where it came from.
            pass
    # TODO: wait until the dead letters are stored, then commit.

consumer.close()
