"""Poison among the records must not stop a consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.write.audit import (
    Finding,
    all_committed,
    members_survive,
    nothing_lost,
    nothing_repeated,
    place,
    stops_in_time,
)
from newsroom_lab.write.copying import BATCH, HINTS, interruptions
from newsroom_lab.write.headlines import SCHEMA, headlines, register
from newsroom_lab.write.task import Act, Round, Task

if TYPE_CHECKING:
    from random import Random

    from newsroom_lab.write.task import Evidence, Pair, Setting

RECORDS = 1500
POISON = (b"not Avro", b"\x00\x00\x00", b'{"title": "JSON is not Avro"}')
POISON_SHARE = 0.03
POISON_KEY = "poison"


def feed(chance: Random, setting: Setting) -> list[Pair]:
    """Headlines, and poison between them; each poison has a key of its own by which it is found."""
    encode = register(setting.lab, setting.variables["LAB_INPUT"], SCHEMA)
    pairs: list[Pair] = []
    for number, line in enumerate(headlines(RECORDS)):
        if chance.random() < POISON_SHARE:
            pairs.append((f"{POISON_KEY}-{number}", chance.choice(POISON)))
        pairs.append((f"key{number % 21}", encode(line)))
    return pairs


def audit(evidence: Evidence) -> list[Finding]:
    """Each poison record is a dead letter as it came, and says where it came from; no other record is one."""
    letters = evidence.records["DEAD_LETTERS"]
    poison = [record for record in evidence.input if (record.key or b"").startswith(POISON_KEY.encode())]
    known = {(record.key, record.value) for record in poison}
    healthy = [record for record in letters if (record.key, record.value) not in known]
    offsets = {(record.key, str(record.offset).encode()) for record in evidence.input}
    silent = [record for record in letters if not any((record.key, v) in offsets for v in record.headers.values())]
    return [
        nothing_lost(poison, letters),
        nothing_repeated(letters, BATCH * interruptions(evidence)),
        Finding(
            "only poison is a dead letter",
            not healthy,
            f"healthy letters {len(healthy)}",
            place(healthy[0]) if healthy else "",
        ),
        Finding(
            "letters say their origin",
            not silent,
            f"without origin {len(silent)}",
            f"no header with the offset: {place(silent[0])}" if silent else "",
        ),
        all_committed(evidence.lag),
        members_survive(evidence.deaths, evidence.round.rebalances),
        stops_in_time(evidence.stop_seconds),
    ]


TASK = Task(
    level=8,
    title="a dead-letter consumer",
    text="""Read the Avro records of LAB_INPUT (the schema is in the registry, the subject is the topic's name and
-value) as a member of the group LAB_GROUP. Some records are poison: they are not Avro. Send each of these as it is,
key and value unchanged, to LAB_DEAD_LETTERS, with headers that say where it came from; one of them is its offset in
decimal digits. Commit and go on. What you do with the others is your choice. The registry may be down when you start:
a record that you cannot check yet is not poison, so wait a minute for the registry. Set session.timeout.ms to
LAB_SESSION_MS, and auto.offset.reset to earliest. After SIGTERM finish, commit and end within 10 seconds.""",
    topics=("INPUT", "DEAD_LETTERS"),
    promises={
        "nothing is lost": "Catch the error of each record alone, send the record on, and flush() before you commit.",
        "nothing is repeated": HINTS["nothing is repeated"],
        "only poison is a dead letter": "Without the registry you cannot know what is poison: wait, and ask it again.",
        "letters say their origin": "headers=[('origin.offset', str(message.offset()))], and so on.",
        "progress is committed": "Commit past the poison record, too, or it comes back for ever.",
        "members survive": "No record may end the program: catch what the deserializer raises.",
        "it stops when told": HINTS["it stops when told"],
    },
    rounds=(
        Round("poison", quick=True),
        Round("poison and kills", (Act.KILL, Act.KILL)),
        Round("the registry is down", (Act.REGISTRY,)),
    ),
    audit=audit,
    feed=feed,
)
