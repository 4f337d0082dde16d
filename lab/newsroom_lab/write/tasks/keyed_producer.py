"""Keys decide on the partition: the same key, the same partition as for every other client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka.partitioner.default import murmur2

from newsroom_lab.write.audit import ended_well, exactly, keys_at_home, order_of_keys
from newsroom_lab.write.headlines import write_source
from newsroom_lab.write.task import Act, Round, Task

if TYPE_CHECKING:
    from newsroom_lab.write.audit import Finding
    from newsroom_lab.write.task import Evidence, Setting

RECORDS = [(f"key{number % 21}", f"value{number}") for number in range(420)]
EXPECTED = [(key.encode(), value.encode()) for key, value in RECORDS]
PARTITIONS = 3
POSITIVE = 0x7FFFFFFF
"""Java takes the hash without its sign."""

HOMES: dict[bytes | None, int] = {key: (murmur2(key) & POSITIVE) % PARTITIONS for key, _ in EXPECTED}


def prepare(setting: Setting) -> None:
    """Write the file that is to be sent."""
    lines = [{"key": key, "value": value} for key, value in RECORDS]
    setting.variables["LAB_SOURCE"] = write_source(setting.folder / "source.jsonl", lines)


def audit(evidence: Evidence) -> list[Finding]:
    """Each line once, in the order of its key, on the partition of Java's partitioner."""
    return [
        *exactly(EXPECTED, evidence.output),
        order_of_keys(EXPECTED, evidence.output),
        keys_at_home(evidence.output, HOMES),
        ended_well(evidence.codes),
    ]


TASK = Task(
    level=2,
    title="keyed producer",
    text="""Send each line of the file LAB_SOURCE, a JSON object with "key" and "value", to the topic LAB_OUTPUT, as
text and in the order of the file. The records of a key must lie on the partition on which Java's clients would put them
(murmur2), so that a join with their topics finds them. End with exit code 0 when every record is delivered.""",
    topics=("OUTPUT",),
    promises={
        "nothing is lost": "Call flush() before the end. When the queue is full (BufferError), poll() and retry.",
        "nothing is repeated": "A retry may write twice: set enable.idempotence.",
        "nothing is changed": "Send the strings themselves, without quotes.",
        "order is kept": "Give each record its key, name no partition, and set enable.idempotence.",
        "keys are at home": "librdkafka's default is CRC32: set partitioner=murmur2_random. Java needs no setting.",
        "it ends as it should": "End with exit code 0 when flush() has left nothing.",
    },
    rounds=(Round("calm", quick=True), Round("a broker is down", (Act.BROKER,))),
    audit=audit,
    prepare=prepare,
    variables={"LAB_SOURCE": "the file to send, one JSON object a line"},
)
