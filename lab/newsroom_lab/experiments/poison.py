"""One record that cannot be read."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from newsroom.errors import DecodeError
from newsroom_lab.experiment import Choice, Experiment, Section
from newsroom_lab.streaming import read_to_end

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

HALF = 10
STARTS = 3


def steps(lab: Lab, *, careful: bool = True) -> None:
    """Put one line of text between twenty Avro records, and read them with two kinds of consumers."""
    topic, letters = lab.topic(), lab.topic("dlq")
    subject = f"{lab.ports.registry_url}/subjects/{topic}-value"
    lab.finally_do(lambda: lab.quietly_ask(subject, "DELETE"))
    write = ("news-producer", "--topic", topic)
    lab.step(f"Write {HALF} Avro records, one line of text, and {HALF} Avro records")
    lab.run(*write, "--count", str(HALF))
    lab.run(*write, "--format", "string", "--source", "-", stdin="this is not Avro\n")
    lab.run(*write, "--count", str(HALF))

    lab.step(f"Start a consumer {STARTS} times that ends at a record it cannot read")
    naive, group = lab.group("naive"), lab.group("careful")
    reads = [_read(lab, topic, naive) for _ in range(STARTS)]
    lab.table(
        "a consumer that ends", ("start", "records read", "ended with"), [(n, *r) for n, r in enumerate(reads, 1)]
    )
    stuck = lab.lag(naive, topic)

    lab.step("Read with dead letters" if careful else "Read with another consumer of that kind")
    if careful:
        lab.run(*lab.consumer(topic, group, "--dlq-topic", letters, "--until-end"))
    else:
        _read(lab, topic, group)
    left, dead = lab.lag(group, topic), lab.total(letters)
    lab.bars("records unread at the end", {"ends at a bad record": stuck, "writes it to a dead-letter topic": left})
    lab.answer(
        stuck, f"one bad record of {2 * HALF + 1} keeps {stuck} unread for ever; with dead letters {left} are left"
    )
    lab.holds("each new start ends at the same record", [n for n, _ in reads] == [HALF, 0, 0], [n for n, _ in reads])
    lab.holds("with dead letters everything is read", left == 0, f"lag {left}")
    lab.holds("the bad record is kept as a dead letter", dead == 1, f"{dead} dead letters")


def _read(lab: Lab, topic: str, group: str) -> tuple[int, str]:
    """A first program: read, decode, commit. How many records it read, and the error that ended it."""
    # ruff: noqa: PLC0415 - they take half a second, which 'newsroom lab list' need not wait for
    from confluent_kafka.schema_registry import SchemaRegistryClient

    from newsroom.schemas.avro import AvroDecoder

    read = 0
    registry = SchemaRegistryClient({"url": lab.ports.registry_url})
    # A member that ends at an error leaves its group at once.
    with registry, closing(read_to_end(lab, group, topic)) as records:
        decoder = AvroDecoder(registry, topic=topic)
        for message in records:
            try:
                decoder.decode(message.value())
            except DecodeError as error:
                return read, str(error)
            read += 1
    return read, ""


EXPERIMENT = Experiment(
    section=Section.DEEPER,
    rows=(),
    question=(
        "Somebody writes a line of text to a topic of Avro records. A consumer ends with an error there, and its "
        "supervisor starts it again. What happens?"
    ),
    predict=Choice(
        (
            "it skips the record at the second start",
            "it ends at the same record each time, and the partition stands still",
            "the broker removes the record",
        ),
        right=1,
    ),
    steps=steps,
    why="""The offset behind the record is never committed, so each start begins with it again: a poison pill. A broker
    does not know what a value means, and keeps the record until retention deletes it. A consumer that must go
    on writes what it cannot read to a dead-letter topic, with its origin and the reason in headers, and commits.
    `newsroom dlq list` shows such records, `newsroom dlq replay` sends them again after a repair.""",
    wrong={"every consumer gets over it": {"careful": False}},
    terms=("dead letter", "serializer", "committed offset"),
)
