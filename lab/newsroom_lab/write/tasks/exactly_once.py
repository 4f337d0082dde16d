"""Consume, transform and produce in a transaction: nothing is lost and nothing repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.write.audit import MEMBERS_SURVIVE
from newsroom_lab.write.copying import COPY, HINTS, audit, feed
from newsroom_lab.write.task import Act, Round, Task

if TYPE_CHECKING:
    from newsroom_lab.write.audit import Finding
    from newsroom_lab.write.task import Evidence


def judge(evidence: Evidence) -> list[Finding]:
    """Nothing is lost and nothing repeated. A replica that was fenced may end: its supervisor starts it again."""
    fenced = Act.FREEZE in evidence.round.acts or Act.BROKER in evidence.round.acts
    return [finding for finding in audit(evidence) if not (fenced and finding.promise == MEMBERS_SURVIVE)]


TASK = Task(
    level=9,
    title="exactly once: consume, transform, produce",
    text=f"""{COPY}
Members are killed with kill -9, and are frozen for longer than their session; a broker dies. A reader with
isolation.level read_committed must see each copy once: write copies and offsets in one transaction. LAB_MEMBER is a
number that a member keeps when it starts again; make the transactional.id of it and LAB_GROUP.""",
    topics=("INPUT", "OUTPUT"),
    promises=HINTS
    | {
        "nothing is lost": "send_offsets_to_transaction() before commit_transaction(), and no other commit. Keep the "
        "transactional.id after a kill: otherwise the open transaction hides what follows for a minute.",
        "nothing is repeated": "Offsets and copies in one transaction; after an abort seek() to the last commit.",
    },
    rounds=(
        Round("calm", quick=True),
        Round("killed", (Act.KILL, Act.KILL), quick=True),
        Round("a frozen member", (Act.FREEZE,), members=2),
        Round("a broker dies", (Act.BROKER,)),
    ),
    audit=judge,
    feed=feed,
)
