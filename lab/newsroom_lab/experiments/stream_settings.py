"""How often a stream commits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section
from newsroom_lab.streaming import STARTED, wordcount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_lab.lab import Lab

SHORT, LONG = 0.2, 3.0
RECORDS = 60
PACE_SECONDS = 0.1


def steps(lab: Lab, *, long: float = LONG) -> None:
    """Count the same texts with a short and a long commit interval."""
    results = {seconds: _run(lab, f"c{number}", seconds) for number, seconds in enumerate((SHORT, long))}
    transactions = {f"{seconds:g} s": commits for seconds, (commits, _) in results.items()}
    lab.bars(f"commits for {RECORDS} records in six seconds", transactions, "transactions")
    lab.bars("until the last count is visible", {f"{s:g} s": late for s, (_, late) in results.items()}, "s")
    (few, soon), (many, late) = results[long], results[SHORT]
    lab.answer(
        1 if few < many and soon > late else 0,
        f"transactions: {many} and {few}; visible after {late:.1f} and {soon:.1f} s",
    )
    lab.holds("a longer interval makes fewer transactions", 3 * few < many, f"{few} and {many}")
    lab.holds("and each result is visible later", soon > late + 1, f"{late:.1f} s and {soon:.1f} s")


def _run(lab: Lab, suffix: str, seconds: float) -> tuple[int, float]:
    """How many transactions a stream made of the records, and how long the last one took to be visible, in seconds."""
    lab.step(f"Commit every {seconds:g} s")
    texts, counts = lab.topic(f"{suffix}-texts"), lab.topic(f"{suffix}-counts", cleanup_policy="compact")
    group = lab.stream_group(suffix)
    command = wordcount(group, texts, counts, lab.folder(), "--commit-interval", f"{seconds:g}")
    with lab.running(*command) as stream:
        lab.until("it has its partitions", lambda: stream.lines(STARTED), 60)
        lab.send(texts, _slowly())
        sent = time.monotonic()
        wanted = str(RECORDS).encode()
        lab.until("the last count", lambda: lab.observer.table(counts).get("again") == wanted, 30)
        late = time.monotonic() - sent
    # The records of a transaction end with a marker, which takes an offset and is read by nobody.
    markers = lab.total(counts) - len(lab.read(counts))
    return markers, late


def _slowly() -> Iterator[tuple[str, str]]:
    for _ in range(RECORDS):
        time.sleep(PACE_SECONDS)
        yield "key", "again"


EXPERIMENT = Experiment(
    section=Section.STREAMS,
    rows=(39,),
    question="The commit interval of an exactly-once stream goes from 0.2 s to 3 s. What changes?",
    predict=Choice(
        (
            "results may be lost at a crash",
            "fewer transactions, and results are visible later",
            "only the disk is written less often",
        ),
        right=1,
    ),
    steps=steps,
    why="""With exactly-once processing a commit is a transaction over results, state and offsets, and a
    read_committed reader gets the results with its end. The word count has two steps, so a result may wait
    for two commits. A longer interval costs less and shows later; nothing is lost in either, because what was
    not committed is processed again after a crash. The other settings of a stream: its application id (the
    group, and part of the names of its internal topics), where its state lies, the processing guarantee, the
    replicas of its internal topics and the number of its threads or processes.""",
    wrong={"the interval does not matter": {"long": SHORT + 0.001}},
    terms=("isolation level", "state store", "changelog"),
)
