"""What the tasks share in which a consumer's effect is a copy of each record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.write.audit import (
    all_committed,
    members_survive,
    nothing_foreign,
    nothing_lost,
    nothing_repeated,
    order_kept,
    stops_in_time,
)
from newsroom_lab.write.task import Act

if TYPE_CHECKING:
    from random import Random

    from newsroom_lab.write.audit import Finding
    from newsroom_lab.write.task import Evidence, Pair, Setting

RECORDS = 3000
BATCH = 500
"""So many records may be in progress when a member is interrupted."""

KEYS = 21

COPY = """Read the topic LAB_INPUT as a member of the group LAB_GROUP. The effect of a record is a copy of it, key and
value unchanged, in the topic LAB_OUTPUT. Set session.timeout.ms to LAB_SESSION_MS, and auto.offset.reset to earliest.
After SIGTERM finish, commit and end within 10 seconds."""

HINTS = {
    "nothing is lost": "Commit only what has had its effect: produce, flush() and look at its result, then commit.",
    "nothing is repeated": "Commit often enough, and in on_revoke before close(): the rest comes again.",
    "nothing is changed": "Copy the bytes of key and value; decode nothing.",
    "order is kept": "Give the copy the record's key, and let one producer with enable.idempotence send the copies.",
    "progress is committed": "Commit the offset after the last record of each batch: message.offset() + 1.",
    "members survive": "Its last lines say why it ended. A rebalance is not an error: go on after "
    "UNKNOWN_MEMBER_ID and ILLEGAL_GENERATION.",
    "it stops when told": "Handle SIGTERM: set a flag that the loop looks at, with a poll() of at most a second.",
}


def feed(chance: Random, _: Setting) -> list[Pair]:
    """Numbered records with the lab's keys."""
    return [(f"key{chance.randrange(KEYS)}", f"{number:06d}") for number in range(RECORDS)]


def interruptions(evidence: Evidence) -> int:
    """How often a member could not finish its batch."""
    return sum(act in (Act.KILL, Act.FREEZE, Act.BROKER) for act in evidence.round.acts)


def audit(evidence: Evidence, *, lost: int = 0, repeated: int = 0) -> list[Finding]:
    """The findings about copies, with so many lost and repeated ones allowed."""
    return [
        nothing_lost(evidence.input, evidence.output, lost),
        nothing_repeated(evidence.output, repeated),
        nothing_foreign(evidence.input, evidence.output),
        order_kept(evidence.input, evidence.output),
        all_committed(evidence.lag),
        members_survive(evidence.deaths, evidence.round.rebalances),
        stops_in_time(evidence.stop_seconds),
    ]
