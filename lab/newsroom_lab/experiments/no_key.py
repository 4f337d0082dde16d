"""Where records without a key go."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

RECORDS = 10


def steps(lab: Lab, *, sticky_ms: int = 10) -> None:
    """Send ten records without a key, twice, and count them by partition."""
    topic = lab.topic(partitions=5)
    before = dict.fromkeys(range(5), 0)
    used = []
    for turn in ("first", "second"):
        lab.step(f"Send ten records without a key, for the {turn} time")
        lab.run(
            "news-producer", "--format", "string", "--topic", topic, "--key", "none", "--count", str(RECORDS),
            "--sticky-linger-ms", str(sticky_ms),
        )  # fmt: skip
        spread = Counter(record.partition for record in lab.read(topic, before))
        before = lab.ends(topic)
        lab.bars(f"records by partition, {turn} run", {f"partition {n}": spread.get(n, 0) for n in range(5)})
        used.append(len(spread))
    lab.answer(
        used[0], f"{RECORDS} records without a key: {used[0]} partition in the first run, {used[1]} in the second"
    )
    lab.holds("each run used one partition", used == [1, 1], f"partitions used: {used}")


EXPERIMENT = Experiment(
    section=Section.TOPICS,
    rows=(3, 6),
    question=(
        "A producer sends ten records without a key to a topic with five partitions. On how many of them do they land?"
    ),
    predict=Number("partitions"),
    steps=steps,
    why="""Without a key the producer sticks to one random partition until a batch is full or a short time has passed
    (sticky partitioner). Ten records in a hurry are one batch, and one request instead of five. Over many
    batches the load spreads over all partitions. With --sticky-linger-ms 0 each record goes its own way.""",
    wrong={"each record goes to a partition of its own": {"sticky_ms": 0}},
    quick=True,
    terms=("partition", "key", "batch"),
)
