"""What a consumer sees of a record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

LINES = (
    r"Reading :",
    r"^Offset : 20 from partition",
    r"^Value : value1$",
    r"^Key : key1$",
    "No new messages, waiting 3 seconds",
)


def steps(lab: Lab, *, form: str = "string") -> None:
    """Write a round, and read it as a member of a group of its own."""
    topic, group = lab.topic(), lab.group()
    lab.step("Write the 42 records, and read them")
    lab.run("news-producer", "--format", "string", "--topic", topic)
    dead = lab.topic("dlq")
    done = lab.run(*lab.consumer(topic, group, "--format", form, "--dlq-topic", dead, "--idle-exit", "5"))
    read = sum(line.startswith("Value :") for line in done.lines)
    lab.answer(read, f"{read} records were read, and the group committed offset {lab.committed(group, topic)}")
    lab.holds("it reads all of them", read == 42, f"{read} of 42")
    missing = [pattern for pattern in LINES if not _has(done.text, pattern)]
    lab.holds("it shows offset, partition, value and key of each", not missing, f"missing: {missing}")
    lab.holds("the group has committed what it has read", lab.lag(group, topic) == 0, f"lag {lab.lag(group, topic)}")


def _has(text: str, pattern: str) -> bool:
    return re.search(pattern, text, re.MULTILINE) is not None


EXPERIMENT = Experiment(
    section=Section.CONSUMER,
    rows=(16,),
    question=(
        "A consumer of a new group reads a topic that got 42 records before the group existed. How many does it read?"
    ),
    predict=Number("records"),
    steps=steps,
    why="""A topic is a log: reading removes nothing. A group without committed offsets begins where
    auto.offset.reset says, here at the earliest record. (Kafka's own default is latest: then it would read
    none of the 42.) The consumer must read with the deserializer that fits; what it cannot read goes to the
    dead-letter topic.""",
    wrong={"any deserializer will do": {"form": "avro"}},
    quick=True,
    terms=("consumer group", "offset", "committed offset"),
)
