"""A consumer that commits first: nothing is repeated, whenever it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.write.copying import BATCH, COPY, HINTS, audit, feed, interruptions
from newsroom_lab.write.task import Act, Evidence, Round, Task

if TYPE_CHECKING:
    from newsroom_lab.write.audit import Finding


def judge(evidence: Evidence) -> list[Finding]:
    """Nothing is repeated, and an interruption loses at most a batch."""
    return audit(evidence, lost=BATCH * interruptions(evidence))


TASK = Task(
    level=5,
    title="at most once",
    text=f"""{COPY}
Members are killed with kill -9 and start again, and are frozen for longer than their session. No effect may be there
twice. Each of these may lose at most {BATCH} records; where nothing happens, nothing may be lost.""",
    topics=("INPUT", "OUTPUT"),
    promises=HINTS
    | {
        "nothing is lost": "Commit a batch only when you have read it, and flush() its copies before the next one.",
        "nothing is repeated": "Commit with asynchronous=False before the effects; if it fails, drop the batch.",
    },
    rounds=(
        Round("calm", quick=True),
        Round("killed", (Act.KILL, Act.KILL), quick=True),
        Round("a frozen member", (Act.FREEZE,), members=2),
    ),
    audit=judge,
    feed=feed,
)
