"""A program of a repair task: a producer or a consumer that takes its settings from a file.

It starts anew when somebody changes the file, as an operator would restart it, and ends when the file is gone.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COUNTRIES = ("fr", "it", "pl", "se")
STEPS = ("ordered", "paid", "sent")
PRODUCTS = 24

FLUSH_SECONDS = 10.0
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 1.0
"""The pause before a program that failed starts anew, as a supervisor would make it."""


def read_settings(text: str) -> dict[str, str]:
    """The settings of a file: lines of `name=value`; lines that begin with # are remarks.

    Raises:
        ValueError: a line is none of these.
    """
    lines = [line.strip() for line in text.splitlines()]
    settings = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ValueError(f"'{line}' is not a line of name=value")
            settings[name.strip()] = value.strip()
    return settings


@dataclass(frozen=True)
class Work:
    """What the program does, from its settings: those that begin with `work.` are its own, the client gets the rest."""

    own: Mapping[str, str]
    client: Mapping[str, str | int | float | bool | None]
    same: Callable[[], bool]
    """Whether the file is still as it was read."""


def orders(own: Mapping[str, str], number: int) -> tuple[str, str]:
    """Key and value of an event of an order; three events follow each other for an order."""
    order = number // len(STEPS)
    # Nine of ten customers live in one country.
    country = COUNTRIES[order // 10 % len(COUNTRIES)] if order % 10 == 0 else "de"
    event = {"order": f"order-{order}", "country": country, "step": STEPS[number % len(STEPS)]}
    return event[own["work.key"]], json.dumps(event)


def prices(_: Mapping[str, str], number: int) -> tuple[str, str]:
    """Key and value of the price of a product."""
    return f"product-{number % PRODUCTS}", str(100 + number)


SOURCES = {"orders": orders, "prices": prices}


def produce(work: Work) -> None:
    """Send the records of a source at a steady rate until the file changes."""
    producer = Producer({**work.client})
    source, pause = SOURCES[work.own["work.source"]], 1 / float(work.own["work.rate"])
    # After a new start the numbers go on, so that no order comes twice.
    number = int(time.time() * 1000) * len(STEPS)
    while work.same():
        key, value = source(work.own, number)
        producer.produce(work.own["work.topic"], key=key, value=value)
        producer.poll(pause)
        number += 1
    producer.flush(FLUSH_SECONDS)


def consume(work: Work) -> None:
    """Read batches, work on each record, and commit after each batch, until the file changes."""
    consumer = Consumer({"auto.offset.reset": "earliest", "enable.auto.commit": False, **work.client})
    consumer.subscribe([work.own["work.topic"]])
    try:
        while work.same():
            records = consumer.consume(int(work.own["work.batch"]), LOOK_SECONDS)
            for record in records:
                if error := record.error():
                    raise KafkaException(error)
                time.sleep(float(work.own["work.seconds"]))
            if records:
                consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def run(path: Path) -> None:
    """Work with the settings of the file until it is gone; after an error or a change begin anew."""
    while path.exists():
        try:
            text = path.read_text(encoding="utf-8")
            settings = read_settings(text)
            own = {name: value for name, value in settings.items() if name.startswith("work.")}
            client: dict[str, str | int | float | bool | None] = {
                name: value for name, value in settings.items() if name not in own
            }
            same = _watch(path, text)
            (consume if "work.batch" in own else produce)(Work(own, client, same))
        except (KafkaException, BufferError, LookupError, ValueError, OSError) as error:
            print(f"{path.name}: {error}: beginning anew", file=sys.stderr)  # noqa: T201 - its log
            time.sleep(AGAIN_SECONDS)


def _watch(path: Path, text: str) -> Callable[[], bool]:
    looked = time.monotonic()
    same = True

    def ask() -> bool:
        nonlocal looked, same
        if same and time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            try:
                same = path.read_text(encoding="utf-8") == text
            except OSError:
                same = False
        return same

    return ask


if __name__ == "__main__":
    run(Path(sys.argv[1]))
