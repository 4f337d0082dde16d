"""A topic that keeps its records for less time than its readers are away."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-receipts"
RECORDS = 20
AWAY_SECONDS = 25


def break_(site: Site) -> None:
    """Create a topic that keeps records for two seconds."""
    site.topic(TOPIC, retention_ms=2000, segment_ms=1000)
    site.send(TOPIC, [(None, f"receipt {number}") for number in range(RECORDS)])


def check(site: Site) -> Seen:
    """Send receipts, and look for so long whether all of them stay."""
    name = secrets.token_hex(3)
    receipts = {f"receipt {name}-{number}".encode() for number in range(RECORDS)}
    site.send(TOPIC, [(None, receipt) for receipt in receipts])
    lost = site.sees("some are gone", lambda: receipts - set(site.visible(TOPIC)), AWAY_SECONDS)
    left = len(receipts & set(site.visible(TOPIC)))
    return Seen(not lost, f"{left} of {RECORDS} receipts could be read within the next {AWAY_SECONDS} s")


FAULT = Fault(
    number=7,
    symptom=f"The auditors read {TOPIC} once a night and miss receipts. The shops got an acknowledgement for each of "
    "them, and a consumer that runs all day misses none.",
    set=break_,
    check=check,
    hints=(
        (
            f"Compare the first offset of the topic with its end: 'newsroom kafka get-offsets --topic {TOPIC} "
            "--time earliest'."
        ),
        f"'newsroom kafka configs --describe --entity-type topics --entity-name {TOPIC}': how long is a record kept?",
        "retention.ms must be longer than the longest time for which a reader may be away.",
    ),
    cause="retention.ms was two seconds. A broker deletes records by their age, whether anybody has read them or not.",
    solution=(
        (
            f"newsroom kafka configs --alter --entity-type topics --entity-name {TOPIC} --add-config "
            "retention.ms=604800000"
        ),
    ),
)
