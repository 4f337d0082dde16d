"""When one key is much more frequent than the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

RECORDS = 1000
PARTITIONS = 5
MOST = 0.7


def steps(lab: Lab, *, share: float = 0.8, more: int = 8) -> None:
    """Send records with skewed keys, then add partitions and send one of the keys again."""
    topic = lab.topic(partitions=PARTITIONS)
    lab.step(f"Send {RECORDS} records, {share:.0%} of them with the key 'star'")
    hot = round(RECORDS * share)
    keys = ["star"] * hot + [f"other{number}" for number in range(RECORDS - hot)]
    lines = "".join(json.dumps({"key": key, "value": "x"}) + "\n" for key in keys)
    lab.run(
        "news-producer", "--format", "string", "--topic", topic, "--source", "-", "--input-format", "jsonl", stdin=lines
    )
    ends = lab.ends(topic)
    lab.bars("records by partition", {f"partition {number}": end for number, end in ends.items()})
    largest = max(ends.values()) / RECORDS
    homes = {record.partition for record in lab.read(topic) if record.key == b"star"}

    lab.step(f"Give the topic {more} partitions, and send one more record with the key 'star'")
    lab.kafka("topics", "--alter", "--topic", topic, "--partitions", str(more))
    lab.until("the new partitions have leaders", lambda: len(lab.ends(topic)) == more)
    lab.send(topic, [("star", "x")])
    homes |= {record.partition for record in lab.read(topic) if record.key == b"star"}
    lab.answer(100 * largest, f"one partition has {largest:.0%} of all records; 'star' now lives on partitions {homes}")
    lab.holds("one partition carries most of the load", largest > MOST, f"{largest:.0%}")
    lab.holds(
        "more partitions move a key: its records are in two places", len(homes) == 2, f"partitions {sorted(homes)}"
    )


EXPERIMENT = Experiment(
    section=Section.TOPICS,
    rows=(5,),
    question=(
        "Four of five records have the same key. The topic gets three more partitions to share the load. What happens?"
    ),
    predict=Choice(
        (
            "the load spreads over all partitions",
            "the frequent key moves to another partition, which is as hot, and its order is broken",
            "nothing: keys stay where they were",
        ),
        right=1,
    ),
    steps=steps,
    why="""Use a key when records of one thing must stay in order, or meet in a join. The price: a frequent key makes
    one partition hot, and one consumer of the group does most of the work. More partitions do not help, since
    one key has one partition; they only move keys elsewhere (hash modulo another number), so old and new
    records of a key are apart.""",
    wrong={"the keys are evenly frequent": {"share": 0.001}},
    terms=("key", "partition"),
)
