"""Keys of which one is in almost every record."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-events"
PROGRAM = "shop"
PARTITIONS = 6
RECORDS = 600
MOST = 0.5


def break_(site: Site) -> None:
    """Start a producer whose keys are countries."""
    site.topic(TOPIC, PARTITIONS)
    site.program(
        PROGRAM,
        (
            "partitioner=murmur2_random",
            "linger.ms=5",
            f"work.topic={TOPIC}",
            "work.source=orders",
            "work.rate=60",
            "# the field of an event that becomes its key: order, country or step",
            "work.key=country",
        ),
    )
    site.coming(TOPIC, 1)


def check(site: Site) -> Seen:
    """Look at ten seconds of events: how many are on the fullest partition, and whether an order is on one."""
    records = site.coming(TOPIC, RECORDS, 60)
    partitions = Counter(record.partition for record in records)
    homes = defaultdict(set)
    for record in records:
        homes[json.loads(record.value or b"{}")["order"]].add(record.partition)
    share = partitions.most_common(1)[0][1] / len(records)
    torn = sum(len(places) > 1 for places in homes.values())
    return Seen(
        share < MOST and not torn,
        f"{share:.0%} of {len(records)} new events are on one of {PARTITIONS} partitions, and {torn} of {len(homes)} "
        "orders are on more than one",
    )


FAULT = Fault(
    number=6,
    symptom=f"One partition of {TOPIC} is always behind, and its consumer is busy while five others have next to "
    "nothing to do. The events of an order must stay in order. The producer takes its settings from "
    "{home}/repair/shop.properties, and starts anew when they change.",
    set=break_,
    check=check,
    hints=(
        f"'newsroom peek {TOPIC} -n 20' shows the keys of the last events.",
        "All records with one key are on one partition. How frequent is the most frequent key?",
        (
            "Nine of ten orders come from one country. Choose a key that keeps together what must stay in order, and "
            "nothing else."
        ),
    ),
    cause="The key was the country, and almost all customers live in one. More partitions do not help, because a key "
    "stays on one. The key must be what needs the order: here the order's number.",
    solution=("sed -i.bak 's/^work.key=.*/work.key=order/' {home}/repair/shop.properties",),
)
