"""A topic that needs more in-sync replicas than live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-payments"
BROKER = "kafka-3"
REPLICAS, RECORDS = 3, 5


def break_(site: Site) -> None:
    """Demand all three replicas, and kill one of the brokers."""
    site.topic(TOPIC, min_insync_replicas=REPLICAS)
    site.send(TOPIC, [(None, f"payment {number}") for number in range(RECORDS)])
    site.note("eligible", TOPIC, BROKER)
    site.kill(BROKER)
    site.until("it is out of sync", lambda: site.in_sync(TOPIC) < REPLICAS, 60)


def check(site: Site) -> Seen:
    """Send payments, and count the acknowledgements."""
    done = site.send(TOPIC, [(None, f"payment {n}") for n in range(RECORDS)], acks="all", message_timeout_ms=10_000)
    why = f": {', '.join(done.errors)}" if done.errors else ""
    return Seen(done.acknowledged == RECORDS, f"{done.acknowledged} of {RECORDS} payments were acknowledged{why}")


FAULT = Fault(
    number=3,
    symptom=f"No payment is stored any more: producers with acks=all get no acknowledgement from {TOPIC}. What was "
    "stored before can be read, and other topics take records.",
    set=break_,
    check=check,
    hints=(
        f"Look at the topic: 'newsroom kafka topics --describe --topic {TOPIC}', and at the brokers: 'newsroom ps'.",
        "Compare the number of in-sync replicas (Isr) with min.insync.replicas.",
        "Three are demanded and two live. Start the broker again, and demand two, so that one may be away.",
    ),
    cause="min.insync.replicas was 3 with three replicas, so no broker may be away: when one died, every write with "
    "acks=all was refused. With 2 of 3 a broker may fail, and each acknowledged record is still on two disks.",
    solution=(
        f"newsroom restart {BROKER}",
        f"newsroom kafka configs --alter --entity-type topics --entity-name {TOPIC} --add-config min.insync.replicas=2",
    ),
)
