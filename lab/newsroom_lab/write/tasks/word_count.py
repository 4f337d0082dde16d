"""A word count whose state survives."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from newsroom_lab.write.audit import all_committed, members_survive, stops_in_time, values_by_key
from newsroom_lab.write.copying import HINTS
from newsroom_lab.write.task import Act, Round, Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from newsroom_lab.write.audit import Finding
    from newsroom_lab.write.task import Evidence, Pair, Setting
    from newsroom_stack.pipeline.observe import Record

RECORDS = 1200
WORDS = ("kafka", "topic", "Partition", "offset", "group", "member", "leader", "Broker", "commit", "batch", "record")


def feed(chance: Random, _: Setting) -> list[Pair]:
    """Texts of one to four words, in lower case and not, with something else than spaces between them."""
    texts = (", ".join(chance.choices(WORDS, k=chance.randrange(1, 5))) for _ in range(RECORDS))
    return [(f"key{number % 21}", text) for number, text in enumerate(texts)]


def settled(setting: Setting) -> bool:
    """Whether every text is committed and counted. The counts may come later than the commit: from LAB_INTERNAL."""
    lab, texts = setting.lab, setting.variables["LAB_INPUT"]
    if lab.lag(setting.variables["LAB_GROUP"], texts):
        return False
    return _counted(lab.read(texts), lab.read(setting.variables["LAB_OUTPUT"])).kept


def _counted(texts: Sequence[Record], counts: Sequence[Record]) -> Finding:
    words = (word for text in texts for word in re.findall(r"\w+", (text.value or b"").decode().lower()))
    expected = {word.encode(): str(number).encode() for word, number in Counter(words).items()}
    return values_by_key("every count is right", expected, counts)


def audit(evidence: Evidence) -> list[Finding]:
    """The last value of each word is how often it is in the input."""
    return [
        _counted(evidence.input, evidence.output),
        all_committed(evidence.lag),
        members_survive(evidence.deaths, evidence.round.rebalances),
        stops_in_time(evidence.stop_seconds),
    ]


TASK = Task(
    level=10,
    title="a word count that survives",
    text="""Read the texts of LAB_INPUT as the group LAB_GROUP, split them into words in lower case (what \\w+ finds),
and count. Write each new count to the table LAB_OUTPUT: the word as key, the count in decimal digits as value. The last
value of each word must be right, whatever happened: members are killed with kill -9, and others join. LAB_INTERNAL is a
topic for your own use, LAB_STATE the member's own folder, LAB_SHARED one for all members; both folders stay when a
member is killed. After SIGTERM finish, commit and end within 10 seconds.""",
    topics=("INPUT", "INTERNAL", "OUTPUT"),
    promises={
        "every count is right": "State and offsets must change together: one transaction for both, or the state itself "
        "knows the offset that it has counted to. A word must be counted by one member: repartition by word.",
        "progress is committed": HINTS["progress is committed"],
        "members survive": HINTS["members survive"],
        "it stops when told": HINTS["it stops when told"],
    },
    rounds=(
        Round("calm", quick=True),
        Round("killed", (Act.KILL, Act.KILL)),
        Round("a member joins", (Act.JOIN,)),
    ),
    audit=audit,
    feed=feed,
    settled=settled,
    compacted=("OUTPUT",),
)
