"""A consumer that commits right: nothing is lost, whenever it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.write.copying import BATCH, COPY, HINTS, audit, feed, interruptions
from newsroom_lab.write.task import Act, Evidence, Round, Task

if TYPE_CHECKING:
    from newsroom_lab.write.audit import Finding


def judge(evidence: Evidence) -> list[Finding]:
    """Nothing is lost, and an interruption repeats at most a batch."""
    return audit(evidence, repeated=BATCH * interruptions(evidence))


TASK = Task(
    level=4,
    title="a consumer that commits right: at least once",
    text=f"""{COPY}
Members are killed with kill -9 and start again; others are frozen for longer than their session; a broker dies. No
record may be lost. Each of these may repeat at most {BATCH} records, so commit at least that often.""",
    topics=("INPUT", "OUTPUT"),
    promises=HINTS,
    rounds=(
        Round("calm", quick=True),
        Round("killed", (Act.KILL, Act.KILL), quick=True),
        Round("a frozen member", (Act.FREEZE,), members=2),
        Round("a broker dies", (Act.BROKER,)),
    ),
    audit=judge,
    feed=feed,
)
