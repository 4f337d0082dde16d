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
table = {}  # TODO: read LAB_TABLE to its end first, with a consumer that assigns all of its partitions itself.

while not stop:
    batch = [message for message in consumer.consume(100, timeout=0.5) if not message.error()]
    if not batch:
        continue
    for message in batch:
        # TODO: if the word is in the table, write {"count": ..., "label": ...} with the word as key to LAB_OUTPUT.
        pass
    # TODO: flush, then commit.

consumer.close()
