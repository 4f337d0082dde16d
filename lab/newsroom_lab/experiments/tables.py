"""A topic as a table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

KEYS = [f"key{number}" for number in range(6)]
UPDATES = 20
SEGMENT_SECONDS = 1.0


def steps(lab: Lab, *, policy: str = "compact") -> None:
    """Write twenty values of six keys to a compacted topic, wait for the cleaner, and read what is left."""
    topic = lab.topic(
        partitions=3,
        cleanup_policy=policy,
        segment_ms=int(1000 * SEGMENT_SECONDS),
        min_cleanable_dirty_ratio=0.01,
        max_compaction_lag_ms=int(1000 * SEGMENT_SECONDS),
    )
    lab.step(f"Write {UPDATES} values of each of {len(KEYS)} keys")
    lab.send(topic, [(key, f"{number}") for number in range(1, UPDATES + 1) for key in KEYS])
    ends = lab.ends(topic)
    time.sleep(2 * SEGMENT_SECONDS)  # the next record begins a new segment; the cleaner leaves the newest one alone
    lab.step("Begin new segments, and wait for the cleaner")
    lab.send(topic, [(key, "later") for key in KEYS])

    def left() -> list[tuple[int, str, str]]:
        records = [record for record in lab.read(topic) if record.offset < ends[record.partition]]
        return [(record.partition, (record.key or b"").decode(), (record.value or b"").decode()) for record in records]

    done = lab.sees(
        "one value of each key is left", lambda: len(left()) == len(KEYS), 60 if policy == "compact" else 20
    )
    rest = left()
    own = {f"replica with partition {number}": sum(place == number for place, *_ in rest) for number in range(3)}
    lab.bars("keys in a table", own | {"all partitions (GlobalKTable)": len({key for _, key, _ in rest})}, "keys")
    lab.answer(len(rest), f"of {len(KEYS) * UPDATES} records {len(rest)} are left")
    lab.holds("one record of each key is left", done, f"{len(rest)} records")
    lab.holds(
        "it is the newest one", {value for *_, value in rest} == {str(UPDATES)}, sorted({v for *_, v in rest})[:5]
    )
    lab.holds("a replica sees the keys of its own partitions, a global table all", sum(own.values()) == len(KEYS), own)


EXPERIMENT = Experiment(
    section=Section.STREAMS,
    rows=(38,),
    question=(
        "Twenty values of each of six keys are written to a compacted topic. The cleaner runs. How many of these "
        "120 records are left?"
    ),
    predict=Number("records"),
    steps=steps,
    why="""Compaction keeps at least the newest record of each key, so a compacted topic is a table with the changes
    since the last cleaning. The newest segment is never cleaned, and a cleaner needs enough to do, so for a while there
    are more records than keys. A KTable is such a topic in a streams program: each replica has the keys of its own
    partitions. A GlobalKTable reads all partitions in each replica: any key can be looked up without
    repartitioning, at the price of the whole table in each replica. A tombstone (a null value) deletes a key.""",
    wrong={"retention does the same": {"policy": "delete"}},
    terms=("compaction", "ktable", "globalktable"),
)
