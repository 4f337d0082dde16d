"""A stream joined with a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsroom_lab.write.audit import (
    Finding,
    all_committed,
    count,
    members_survive,
    place,
    stops_in_time,
)
from newsroom_lab.write.copying import BATCH, HINTS, interruptions
from newsroom_lab.write.feeding import Feeder
from newsroom_lab.write.task import Act, Round, Task

if TYPE_CHECKING:
    from random import Random

    from newsroom_lab.write.task import Evidence, Pair, Setting

KEYS = 30
"""Twenty of them are in the table."""

IN_TABLE = 20
RECORDS = 900


def prepare(setting: Setting) -> None:
    """Fill the table; each count is written twice, and the later one holds."""
    pairs: list[Pair] = [(f"key{n}", str(n * rise)) for rise in (1, 3) for n in range(IN_TABLE)]
    Feeder(setting.lab.ports.bootstrap, setting.variables["LAB_TABLE"]).send(pairs)


def ready(setting: Setting) -> bool:
    """Whether the group has committed the table. A program that commits nothing of it is not waited for to the end."""
    return setting.lab.lag(setting.variables["LAB_GROUP"], setting.variables["LAB_TABLE"]) == 0


def feed(chance: Random, _: Setting) -> list[Pair]:
    """Numbered labels for words that are in the table, and for others."""
    return [(f"key{chance.randrange(KEYS)}", f"label{number}") for number in range(RECORDS)]


def audit(evidence: Evidence) -> list[Finding]:
    """Each label of a word in the table has its result, with the table's last count; no other has one."""
    table = {record.key: int(record.value or 0) for record in evidence.records["TABLE"]}
    wanted = {
        (record.key, table[record.key], (record.value or b"").decode()): record
        for record in evidence.input
        if record.key in table
    }
    results = [(record, _result(record.key, record.value)) for record in evidence.output]
    outputs = [result for _, result in results]
    missing = [record for result, record in wanted.items() if result not in outputs]
    wrong = [record for record, result in results if result not in wanted]
    again, allowed = len(outputs) - len(set(outputs)), BATCH * interruptions(evidence)
    return [
        Finding(
            "nothing is lost",
            not missing,
            count("lost", len(missing), 0),
            f"no result for the label {place(missing[0])}" if missing else "",
        ),
        Finding(
            "nothing is repeated",
            again <= allowed,
            count("repeated", again, allowed),
            f"{again} results are there already" if again else "",
        ),
        Finding("results are right", not wrong, count("wrong", len(wrong), 0), place(wrong[0]) if wrong else ""),
        all_committed(evidence.lag),
        members_survive(evidence.deaths, evidence.round.rebalances),
        stops_in_time(evidence.stop_seconds),
    ]


def _result(key: bytes | None, value: bytes | None) -> tuple[bytes | None, int, str] | None:
    try:
        fields = json.loads(value or b"")
        return key, int(fields["count"]), str(fields["label"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


TASK = Task(
    level=11,
    title="the join",
    text="""LAB_TABLE is a table (a compacted topic): word to count, in decimal digits. LAB_INPUT is a stream: word to
label. For each label of a word that is in the table, write a record with the word as key and the JSON object
{"count": 6, "label": "active"} as value to LAB_OUTPUT; labels of other words have no result. Both topics have the same
number of partitions and the same partitioner. The table is full before the first label comes, up to 15 seconds after
your start. Read LAB_INPUT as the group LAB_GROUP, with auto.offset.reset earliest. Members are killed with kill -9: no
result may be lost. After SIGTERM finish, commit and end within 10 seconds.""",
    topics=("INPUT", "TABLE", "OUTPUT"),
    promises={
        "nothing is lost": "Read the table to its end before the first label, after each start. Flush, then commit.",
        "nothing is repeated": HINTS["nothing is repeated"],
        "results are right": "The last record of a key in the table holds. Write numbers as numbers.",
        "progress is committed": HINTS["progress is committed"],
        "members survive": HINTS["members survive"],
        "it stops when told": HINTS["it stops when told"],
    },
    rounds=(Round("calm", quick=True), Round("killed", (Act.KILL, Act.KILL))),
    audit=audit,
    feed=feed,
    prepare=prepare,
    ready=ready,
    compacted=("TABLE",),
)
