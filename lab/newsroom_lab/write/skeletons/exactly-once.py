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
        "transactional.id": "TODO: the same after each start of this member, and no other member's",
    }
)
consumer.subscribe([os.environ["LAB_INPUT"]])
producer.init_transactions(30)

while not stop:
    batch = [message for message in consumer.consume(100, timeout=0.5) if not message.error()]
    if not batch:
        continue
    producer.begin_transaction()
    for message in batch:
        producer.produce(os.environ["LAB_OUTPUT"], message.value(), message.key())
    # TODO: take the offsets into the transaction: consumer.position(consumer.assignment()) and
    # consumer.consumer_group_metadata(); then commit it.
    # TODO: if that raises a KafkaException that is not fatal, abort, and go back to the last committed offsets (seek).

consumer.close()
