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
counts = {}  # TODO: a kill loses this. Where can counts and offsets change together?

while not stop:
    batch = [message for message in consumer.consume(100, timeout=0.5) if not message.error()]
    if not batch:
        continue
    for message in batch:
        for word in message.value().decode().lower().split():  # TODO: words are what \w+ finds
            counts[word] = counts.get(word, 0) + 1
            producer.produce(os.environ["LAB_OUTPUT"], str(counts[word]), word)
    # TODO: flush, commit. And what if two members count the same word?

consumer.close()
