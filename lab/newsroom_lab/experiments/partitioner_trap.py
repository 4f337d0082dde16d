"""The same key on two partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

KEYS = [f"value{number}" for number in range(21)]
PARTITIONS = 6
JAVA, LIBRDKAFKA = "murmur2_random", "consistent_random"


def steps(lab: Lab, *, mended: str = JAVA) -> None:
    """Write one topic as Java does, others with librdkafka's default and with its mended setting, and join them."""
    counts = lab.topic("counts", partitions=PARTITIONS)
    lab.step(f"Write 21 counts with partitioner={JAVA}, which is what Java clients and the streams do")
    lab.send(counts, ((key, "6") for key in KEYS), partitioner=JAVA)
    homes = _homes(lab, counts)
    joined = {}
    for way, partitioner in (("default", LIBRDKAFKA), ("mended", mended)):
        labels = lab.topic(f"labels-{way}", partitions=PARTITIONS)
        lab.step(f"Write 21 labels for the same keys with partitioner={partitioner}")
        lab.send(labels, ((key, "active") for key in KEYS), partitioner=partitioner)
        others = _homes(lab, labels)
        # The task that joins partition 3 reads partition 3 of both topics, and nothing else.
        joined[way] = [key for key in KEYS if homes[key] == others[key]]
        if way == "default":
            rows = [(key, homes[key], others[key], "✓" if key in joined[way] else "missed") for key in KEYS[:11]]
            lab.table("where a key is", ("key", "counts (murmur2)", "labels (CRC32)", "join"), rows)
    lab.bars(
        "joined keys, of 21", {f"{LIBRDKAFKA}, the default": len(joined["default"]), mended: len(joined["mended"])}
    )
    lab.answer(
        len(joined["default"]),
        f"with librdkafka's default {len(joined['default'])} of 21 keys find their partner, {mended} joins "
        f"{len(joined['mended'])}",
    )
    lab.holds("with two partitioners most joins are missed, and nothing fails", len(joined["default"]) < 11)
    lab.holds("with one partitioner every key is joined", joined["mended"] == KEYS, f"{len(joined['mended'])} of 21")


def _homes(lab: Lab, topic: str) -> dict[str, int]:
    return {(record.key or b"").decode(): record.partition for record in lab.read(topic)}


EXPERIMENT = Experiment(
    section=Section.DEEPER,
    rows=(),
    question=(
        "A Java program writes 21 keys to one topic, a Python program the same keys to another; both have six "
        "partitions. A streams application joins them partition by partition. How many of the 21 keys find each other?"
    ),
    predict=Number("keys", within=0.5),
    steps=steps,
    why="""A key's partition is a hash of the key modulo the number of partitions, and the client computes it. Java
    hashes with murmur2, librdkafka (and so Python, Go, C#) with CRC32 unless you set partitioner=murmur2_random.
    A join reads the same partition of both topics, so a key that lies elsewhere has no partner: no error, just
    a missing result. A few keys agree by luck, value10 among them, so a test with one key proves nothing.""",
    wrong={"all clients place keys alike": {"mended": LIBRDKAFKA}},
    quick=True,
    terms=("partitioner", "key", "co-partitioning"),
)
