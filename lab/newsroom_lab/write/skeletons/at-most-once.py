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

while not stop:
    batch = [message for message in consumer.consume(100, timeout=0.5) if not message.error()]
    if not batch:
        continue
    # TODO: three steps, in the order that repeats nothing: commit, send the copies, wait until they are stored.
    # What must happen with the batch if consumer.commit(asynchronous=False) fails?
    for message in batch:
        producer.produce(os.environ["LAB_OUTPUT"], message.value(), message.key())

consumer.close()
