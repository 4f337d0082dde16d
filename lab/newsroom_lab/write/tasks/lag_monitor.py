"""A monitor of another group's lag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition

from newsroom_lab.write.audit import Finding, members_survive, place, stops_in_time, values_by_key
from newsroom_lab.write.copying import HINTS
from newsroom_lab.write.task import Act, Round, Task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from newsroom_lab.write.task import Evidence, Pair, Setting

RECORDS = 600
COMMITTED = {0: 5, 1: 17}
"""What the group has committed at the end; it has no offset of the last partition."""


def prepare(setting: Setting) -> None:
    """Let the group have an offset before the program starts."""
    _commit(setting, {0: 0})


def feed(chance: Random, _: Setting) -> list[Pair]:
    """Records with the lab's keys."""
    return [(f"key{chance.randrange(21)}", f"{number}") for number in range(RECORDS)]


def settled(setting: Setting) -> bool:
    """Commit as the group would, and see whether the monitor has noticed."""
    lab, topic = setting.lab, setting.variables["LAB_INPUT"]
    try:
        if lab.committed(setting.variables["LAB_GROUP"], topic) != COMMITTED:
            _commit(setting, COMMITTED)
    except KafkaException:
        return True  # the group has members now: the monitor has joined it, and the audit will say so
    last = {record.key: record.value for record in lab.read(setting.variables["LAB_OUTPUT"])}
    return all(last.get(key) == value for key, value in _lags(lab.ends(topic), COMMITTED).items())


def _commit(setting: Setting, offsets: Mapping[int, int]) -> None:
    group, topic = setting.variables["LAB_GROUP"], setting.variables["LAB_INPUT"]
    client = Consumer({"bootstrap.servers": setting.lab.ports.bootstrap, "group.id": group, "log_level": 0})
    try:
        places = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        client.commit(offsets=places, asynchronous=False)
    finally:
        client.close()


def _lags(ends: Mapping[int, int], committed: Mapping[int, int]) -> dict[bytes, bytes]:
    return {str(number).encode(): str(end - committed.get(number, 0)).encode() for number, end in ends.items()}


def audit(evidence: Evidence) -> list[Finding]:
    """The last lag of each partition is right, and none was below zero."""
    ends: dict[int, int] = {}
    for record in evidence.input:
        ends[record.partition] = record.offset + 1
    negative = [record for record in evidence.output if (record.value or b"").startswith(b"-")]
    return [
        values_by_key("the lag is right", _lags(ends, COMMITTED), evidence.output),
        Finding(
            "no lag is negative",
            not negative,
            f"negative {len(negative)}",
            place(negative[0]) if negative else "",
        ),
        Finding(
            "the group is left alone",
            evidence.committed == COMMITTED,
            "group untouched" if evidence.committed == COMMITTED else "group changed",
            f"committed offsets {dict(evidence.committed)}, and the group itself committed {COMMITTED}",
        ),
        members_survive(evidence.deaths, evidence.round.rebalances),
        stops_in_time(evidence.stop_seconds),
    ]


TASK = Task(
    level=12,
    title="a lag monitor",
    text="""Watch the lag of the group LAB_GROUP in the topic LAB_INPUT: for each partition the end of the log minus the
committed offset. A partition without a committed offset has its whole log as lag. At least once a second write the lag
of each partition to LAB_OUTPUT: the partition's number as key, the lag as value, both in decimal digits. Do not join
the group and commit nothing: it is not yours. A broker may die: go on. After SIGTERM end within 10 seconds.""",
    topics=("INPUT", "OUTPUT"),
    promises={
        "the lag is right": "Ask again each second: Consumer.committed() with the group's id (without subscribe), and "
        "get_watermark_offsets(); a committed offset below zero (-1001) means that there is none.",
        "no lag is negative": "Ask for the committed offset before the end: the end only grows.",
        "the group is left alone": "Do not subscribe() with the group's id, and set enable.auto.commit to false.",
        "members survive": "Catch KafkaException: while a broker is away, a question may fail. Ask again.",
        "it stops when told": HINTS["it stops when told"],
    },
    rounds=(Round("calm", quick=True), Round("a broker dies", (Act.BROKER,))),
    audit=audit,
    feed=feed,
    prepare=prepare,
    settled=settled,
    settle_seconds=40,
)
