"""A producer of an experiment's own, and what its client counted: requests, bytes and what became of each record."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Pair = tuple[str | None, str | bytes | None]
"""Key and value of a record."""

FLUSH_SECONDS = 60.0
STATISTICS_SECONDS = 0.1


@dataclass(frozen=True)
class Sending:
    """What a producer did."""

    sent: int
    acknowledged: int
    errors: tuple[str, ...]
    """Why the others were not acknowledged."""
    requests: int
    """Produce requests."""
    bytes: int
    """What went over the wire, in bytes."""
    seconds: float


def send(
    bootstrap: str,
    topic: str,
    records: Iterable[Pair],
    pace: float,
    config: Mapping[str, object],
) -> Sending:
    """Write records and wait for each acknowledgement; `pace` is the pause after each, in seconds."""
    statistics: list[dict[str, Any]] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "log_level": 0,
            "statistics.interval.ms": int(1000 * STATISTICS_SECONDS),
            "stats_cb": lambda text: statistics.append(json.loads(text)),
            **config,
        }
    )
    errors: list[str | None] = []
    start = time.monotonic()
    sent = 0
    for key, value in records:
        producer.produce(topic, key=key, value=value, on_delivery=lambda error, _: errors.append(error and error.str()))
        sent += 1
        producer.poll(pace)
    left = producer.flush(FLUSH_SECONDS)
    seconds = time.monotonic() - start
    done = len(statistics)
    while len(statistics) == done:  # the next report counts the last request, too
        producer.poll(STATISTICS_SECONDS)
    brokers = statistics[-1]["brokers"].values()
    failures = [error for error in errors if error is not None] + ["no answer"] * left
    return Sending(
        sent=sent,
        acknowledged=errors.count(None),
        errors=tuple(sorted(set(failures))),
        requests=sum(broker["req"]["Produce"] for broker in brokers),
        bytes=sum(broker["txbytes"] for broker in brokers),
        seconds=seconds,
    )
