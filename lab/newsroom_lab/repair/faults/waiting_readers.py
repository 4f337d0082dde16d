"""A transaction whose producer is gone."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen
from newsroom_lab.sending import transactional

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-transfers"
PRODUCER = "repair-bank"
BEFORE = 3
TIMEOUT_MS = 900_000
"""The longest that a broker allows: a quarter of an hour."""


def break_(site: Site) -> None:
    """Send some records, and leave a transaction open."""
    site.topic(TOPIC)
    site.send(TOPIC, [(None, f"transfer {number}") for number in range(BEFORE)])
    site.note("transaction", PRODUCER)
    gone = transactional(site.ports.bootstrap, PRODUCER, {"transaction.timeout.ms": TIMEOUT_MS})
    gone.begin_transaction()
    gone.produce(TOPIC, "half of a transfer")
    gone.flush(10)


def check(site: Site) -> Seen:
    """Send a transfer, and read it as read_committed readers do."""
    transfer = f"transfer {secrets.token_hex(3)}"
    site.send(TOPIC, [(None, transfer)])
    read = site.sees("it is read", lambda: transfer.encode() in site.visible(TOPIC), 10)
    return Seen(read, f"'{transfer}' was sent to {TOPIC}, and read_committed readers {'' if read else 'do not '}get it")


FAULT = Fault(
    number=4,
    symptom=f"All consumers of {TOPIC} stand still at offset {BEFORE}, each of them with read_committed. Producers "
    "write to the topic without errors. A consumer with read_uncommitted gets everything.",
    set=break_,
    check=check,
    hints=(
        (
            "Ask the partition who writes to it: 'newsroom kafka transactions describe-producers --topic "
            f"{TOPIC} --partition 0'."
        ),
        (
            "CurrentTransactionStartOffset says where a producer's open transaction began. read_committed readers stop "
            "there until it ends: at the last stable offset."
        ),
        (
            "Its producer is gone and its timeout is a quarter of an hour. 'newsroom kafka transactions abort' ends a "
            "transaction by topic, partition and start offset."
        ),
    ),
    cause="A producer began a transaction with a timeout of 15 minutes and was never seen again. Until the transaction "
    "ends, readers with read_committed get nothing that was written after its beginning.",
    solution=(
        f"newsroom kafka transactions describe-producers --topic {TOPIC} --partition 0",
        f"newsroom kafka transactions abort --topic {TOPIC} --partition 0 --start-offset {BEFORE}",
    ),
    quick=True,
)
