"""A stateful operation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section
from newsroom_lab.streaming import wordcount

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

ROUNDS = 6
WORDS = [f"value{number}" for number in range(21)]
LINE = f"KTable wordCounts : key value10 - value {ROUNDS}"


def steps(lab: Lab, *, repartition: bool = True) -> None:
    """Spread six rounds over five partitions without regard to their words, and count the words."""
    texts, counts = lab.topic(partitions=5), lab.topic("counts", partitions=5, cleanup_policy="compact")
    spread = ("--key", "none", "--sticky-linger-ms", "0")
    lab.step(f"Send {ROUNDS} rounds; each record goes to any partition")
    lab.run("news-producer", "--format", "string", "--topic", texts, "--rounds", str(ROUNDS), *spread)
    places = Counter(record.partition for record in lab.read(texts) if record.value == b"value10")
    lab.bars("value10 in the partitions of the input", {f"partition {n}": places[n] for n in range(5)}, "records")
    lab.step("Count the words")
    with lab.running(*wordcount(lab.stream_group(), texts, counts, lab.folder())) as stream:
        lab.until("all are counted", lambda: _table(lab, counts) == dict.fromkeys(WORDS, ROUNDS), 60)
        logged = lab.sees("the log shows the count", lambda: stream.lines(LINE), 5)
    table = _table(lab, counts) if repartition else _largest(lab, texts)
    lab.answer(table["value10"], f"value10 was counted {table['value10']} times; {len(table)} words")
    lab.holds("each of the 21 words is counted six times", table == dict.fromkeys(WORDS, ROUNDS), f"{len(table)} words")
    lab.holds("the log has the course's line", logged, LINE)


def _table(lab: Lab, counts: str) -> dict[str, int]:
    return {word: int(value) for word, value in lab.observer.table(counts).items()}


def _largest(lab: Lab, texts: str) -> dict[str, int]:
    """The counts that come out if each partition is counted alone: the largest one of each word."""
    alone = Counter((record.partition, (record.value or b"").decode()) for record in lab.read(texts))
    return {word: max(number for (_, text), number in alone.items() if text == word) for word in WORDS}


EXPERIMENT = Experiment(
    section=Section.STREAMS,
    rows=(34,),
    question=(
        "Six rounds of the course's strings lie in five partitions, each record in any of them. A stream groups by "
        "word and counts. What is its count of value10?"
    ),
    predict=Number("times"),
    steps=steps,
    why="""An operation is stateful if its result depends on earlier records: a count, a sum, a join, a window. Several
    replicas share the work, each with some partitions, so all records of a word must reach the same replica:
    grouping by another key writes the records to an internal topic with the word as key (repartitioning), and each
    replica counts the words of its own partitions there. A filter or a change of each record needs none of that.""",
    wrong={"each partition can be counted alone": {"repartition": False}},
    terms=("repartition", "state store", "key"),
)
