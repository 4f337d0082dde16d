"""What it costs to wait for each record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


ROUNDS = 20
SLOWER = 2.0


def steps(lab: Lab, *, flush: str = "each") -> None:
    """Send the same records twice: waiting for each of them, and waiting once at the end."""
    seconds = {}
    topic = lab.topic(partitions=5)
    for way in (flush, "end"):
        lab.step(f"Send {ROUNDS} rounds, and wait for the acknowledgement: {way}")
        done = lab.run("news-producer", "--format", "string", "--topic", topic, "--rounds", str(ROUNDS), "--flush", way)
        seconds[f"{way}{' again' * (way in seconds)}"] = done.seconds
    slow, fast = seconds.values()
    lab.bars("seconds, the program's start included", seconds, "s")
    lab.answer(round(slow / fast, 1), f"840 records: {slow:.1f} s when each is waited for, {fast:.1f} s otherwise")
    lab.holds("waiting for each record is much slower", slow > SLOWER * fast, f"{slow / fast:.1f} times")
    lab.holds("both ways deliver everything", lab.total(topic) == 2 * ROUNDS * 42, f"{lab.total(topic)} records")


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(9,),
    question=(
        "The producer calls flush() after each of 840 records instead of once at the end. How many times "
        "slower is the whole run?"
    ),
    predict=Number("times", within=0.5),
    steps=steps,
    why="""flush() waits until everything that was sent is acknowledged: after each record that is one request and
    one round trip for each. Without it the client collects records into batches, and several requests are
    under way. Flush at the end, or before an offset is committed that depends on the records.""",
    wrong={"flush after each record costs nothing": {"flush": "end"}},
    terms=("batch", "acknowledgement"),
)
