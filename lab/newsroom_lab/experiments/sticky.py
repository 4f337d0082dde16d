"""What the sticky partitioner saves, and whether it is fair."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

FEW, MANY = 10, 3000
PACE = 0.001
PARTITIONS = 5


def steps(lab: Lab, *, sticky_ms: int = 500) -> None:
    """Send ten records at once, then many over a few seconds, with and without the sticky partitioner."""
    rows, requests, uneven = [], {}, {}
    for way, wait in (("sticky", sticky_ms), ("not sticky", 0)):
        topic = lab.topic(way.replace(" ", "-"), partitions=PARTITIONS)
        lab.step(f"{way}: send {FEW} records without a key at once, then {MANY} one by one")
        few = lab.send(topic, _records(FEW), linger_ms=100, sticky_partitioning_linger_ms=wait)
        # The default of ten milliseconds, so that many batches come together.
        many = lab.send(topic, _records(MANY), pace=PACE, linger_ms=5, sticky_partitioning_linger_ms=min(wait, 10))
        spread = Counter(record.partition for record in lab.read(topic))
        requests[way], uneven[way] = few.requests, max(spread.values()) / ((FEW + MANY) / PARTITIONS)
        rows.append((way, few.requests, many.requests, f"{100 * uneven[way]:.0f} %"))
        lab.bars(f"records by partition, {way}", {f"partition {n}": spread[n] for n in range(PARTITIONS)})
    columns = ("", f"requests for {FEW}", f"requests for {MANY}", "fullest partition, of its share")
    lab.table("requests, and how even the partitions are", columns, rows)
    summary = f"{requests['sticky']} request with the sticky partitioner, {requests['not sticky']} without"
    lab.answer(requests["sticky"], f"{FEW} records were {summary}")
    lab.holds(
        "sticky: at most half as many requests as if each record picks its partition",
        2 * requests["sticky"] <= requests["not sticky"],
        f"{requests['sticky']} and {requests['not sticky']}",
    )
    lab.holds(
        "over many batches the load is even", uneven["sticky"] < 2, f"fullest: {uneven['sticky']:.2f} of its share"
    )


def _records(count: int) -> list[tuple[None, str]]:
    return [(None, "x")] * count


EXPERIMENT = Experiment(
    section=Section.TOPICS,
    rows=(6,),
    question=(
        "Ten records without a key go to a topic with five partitions. How many requests does the producer send with "
        "the sticky partitioner?"
    ),
    predict=Number("requests"),
    steps=steps,
    why="""A batch belongs to one partition. If each record picks its partition by chance, ten records are up to five
    small batches; if the partitioner stays with one partition until the batch is full or some milliseconds
    have passed, they are one. Fewer and larger batches mean fewer requests and better compression. The next
    batch goes to another partition, so that over time the load is even.""",
    wrong={"each record picks its own partition": {"sticky_ms": 0}},
    terms=("partitioner", "batch", "partition"),
)
