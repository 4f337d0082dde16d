"""A consumer whose members come and go in peace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.write.copying import BATCH, COPY, HINTS, audit, feed
from newsroom_lab.write.task import Act, Evidence, Round, Task

if TYPE_CHECKING:
    from newsroom_lab.write.audit import Finding


def judge(evidence: Evidence) -> list[Finding]:
    """Nothing is lost, and a rebalance may repeat what was in progress."""
    return audit(evidence, repeated=BATCH * len(evidence.round.acts))


TASK = Task(
    level=3,
    title="consumer",
    text=f"""{COPY}
While it works, members join the group and leave it. No record may be lost, and a change may repeat at most {BATCH}.""",
    topics=("INPUT", "OUTPUT"),
    promises=HINTS,
    rounds=(
        Round("calm", quick=True),
        Round("members come and go", (Act.JOIN, Act.JOIN, Act.LEAVE)),
    ),
    audit=judge,
    feed=feed,
)
