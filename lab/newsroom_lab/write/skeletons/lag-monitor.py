"""TODO markers show the gaps. TASK.txt says what the program must do."""

import os
import signal
import time

from confluent_kafka import Consumer, Producer, TopicPartition

stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

topic = os.environ["LAB_INPUT"]
# With the group's id, but it never subscribes: it asks for offsets and joins nothing.
watcher = Consumer(
    {
        "bootstrap.servers": os.environ["LAB_BOOTSTRAP"],
        "group.id": os.environ["LAB_GROUP"],
        "enable.auto.commit": False,
    }
)
producer = Producer({"bootstrap.servers": os.environ["LAB_BOOTSTRAP"], "partitioner": "murmur2_random"})

while not stop:
    for number in watcher.list_topics(topic, timeout=5).topics[topic].partitions:
        lag = 0  # TODO: watcher.committed([TopicPartition(topic, number)]) and watcher.get_watermark_offsets(...)
        producer.produce(os.environ["LAB_OUTPUT"], str(lag), str(number))
    # TODO: while a broker is away, each of these may raise a KafkaException: go on.
    producer.flush(1)
    time.sleep(0.5)
watcher.close()
