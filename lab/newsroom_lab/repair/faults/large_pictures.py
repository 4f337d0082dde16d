"""A topic whose largest batch is smaller than its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-pictures"
SMALL, LARGE = 2_000, 200_000
"""Bytes of a picture."""


def break_(site: Site) -> None:
    """Create a topic for small records."""
    site.topic(TOPIC, max_message_bytes=50_000)
    site.send(TOPIC, [("small", bytes(SMALL))])


def check(site: Site) -> Seen:
    """Send a small and a large picture."""
    results = []
    for name, size in (("small", SMALL), ("large", LARGE)):
        done = site.send(TOPIC, [(name, bytes(size))], message_timeout_ms=10_000)
        arrived = done.acknowledged == 1 and any(len(value) == size for value in site.visible(TOPIC))
        results.append((arrived, f"a picture of {size} bytes: {'it arrived' if arrived else ', '.join(done.errors)}"))
    return Seen(all(arrived for arrived, _ in results), "; ".join(what for _, what in results))


FAULT = Fault(
    number=12,
    symptom=f"Some pictures never come to {TOPIC}: the large ones of about {LARGE // 1000} kB. The small ones of the "
    "same producer arrive.",
    set=break_,
    check=check,
    hints=(
        "Read the producer's error, which 'newsroom lab check' shows: it comes from the broker, and at once.",
        (
            f"A topic has a largest size for a batch: 'newsroom kafka configs --describe --entity-type topics "
            f"--entity-name {TOPIC}'."
        ),
        "Raise max.message.bytes of the topic above the largest picture, or delete the setting: Kafka's own is 1 MB.",
    ),
    cause="max.message.bytes of the topic was 50,000, which is less than a large picture. The broker refuses such a "
    "batch for good, so a producer that only logs the error loses the record.",
    solution=(
        f"newsroom kafka configs --alter --entity-type topics --entity-name {TOPIC} --delete-config max.message.bytes",
    ),
)
