"""Sends records with one request in flight and with five, in pairs: .venv/bin/python benchmarks/in_flight.py.

Needs a running cluster: the variables of `newsroom env`. Writes to a topic of its own and deletes it.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from newsroom.settings import KafkaSettings
from newsroom_audit.reader import ClusterReader

RECORDS, PAIRS = 150_000, 6
VALUE = b"x" * 200
PARTITIONS, REPLICAS = 6, 3
SECONDS = 120.0


def rate(settings: KafkaSettings, topic: str, in_flight: int) -> float:
    """Records a second from the first record to the last acknowledgement."""
    config = settings.producer_config("benchmark") | {"max.in.flight.requests.per.connection": in_flight}
    producer = Producer(config)
    producer.list_topics(topic, timeout=SECONDS)
    acknowledged = 0

    def count(error: object, _: object) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    start = time.monotonic()
    for number in range(RECORDS):
        while True:
            try:
                producer.produce(topic, VALUE, str(number), on_delivery=count)
                break
            except BufferError:
                producer.poll(0.01)
    producer.flush(SECONDS)
    assert acknowledged == RECORDS, f"{RECORDS - acknowledged} records were not acknowledged"
    return RECORDS / (time.monotonic() - start)


def main() -> None:
    """Print each pair and the median of the ratios."""
    settings, topic = KafkaSettings(), f"benchmark-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(settings.client_config("benchmark"))
    admin.create_topics([NewTopic(topic, PARTITIONS, REPLICAS)])[topic].result(SECONDS)
    try:
        rate(settings, topic, 5)
        ratios = []
        for pair in range(PAIRS):
            order = (1, 5) if pair % 2 else (5, 1)
            rates = {in_flight: rate(settings, topic, in_flight) for in_flight in order}
            ratios.append(rates[1] / rates[5])
            sys.stdout.write(f"one: {rates[1]:,.0f}/s, five: {rates[5]:,.0f}/s, ratio {ratios[-1]:.2f}\n")
            sys.stdout.flush()
        with ClusterReader(settings) as reader:
            written = sum(end.high for end in reader.ends(topic).values())
        assert written == (2 * PAIRS + 1) * RECORDS, f"the topic holds {written:,} records"
        sys.stdout.write(
            f"one in flight against five: median {statistics.median(ratios):.2f}, "
            f"from {min(ratios):.2f} to {max(ratios):.2f}\n"
        )
    finally:
        admin.delete_topics([topic])[topic].result(SECONDS)


if __name__ == "__main__":
    main()
