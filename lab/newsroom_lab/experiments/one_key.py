"""Where records with a key go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, key: str = "fixed") -> None:
    """Send ten records with one key, twice, and look at their partitions and their order."""
    topic = lab.topic(partitions=5)
    for turn in ("", " again"):
        lab.step(f"Send ten records with the key 'my key'{turn}")
        lab.run(
            "news-producer", "--format", "string", "--topic", topic, "--key", key, "--fixed-key", "my key", "--count",
            "10", "--sticky-linger-ms", "0",
        )  # fmt: skip
    records = lab.read(topic)
    counts = {f"partition {n}": sum(record.partition == n for record in records) for n in range(5)}
    lab.bars("records by partition, both runs", counts)
    used = {record.partition for record in records}
    lab.answer(len(used), f"{len(records)} records with one key are on {len(used)} partition(s)")
    lab.holds("both runs used the same single partition", len(used) == 1, f"partitions {sorted(used)}")
    values = [record.value for record in records]
    lab.holds(
        "a reader sees them in the order in which they were sent", values[:10] == values[10:], f"{len(values)} read"
    )


EXPERIMENT = Experiment(
    section=Section.TOPICS,
    rows=(4,),
    question=("Now the ten records have the key 'my key', and the producer runs twice. Where are the twenty records?"),
    predict=Choice(
        (
            "spread over the five partitions",
            "on one partition in each run, but another one each time",
            "all on the same partition",
        ),
        right=2,
    ),
    steps=steps,
    why="""The partition is a hash of the key (murmur2) modulo the number of partitions: the same key, the same
    partition, in every run and in every client that hashes alike. A partition keeps the order of its records,
    so whatever must stay in order gets the same key.""",
    wrong={"the records have no key": {"key": "none"}},
    quick=True,
    terms=("key", "partition"),
)
