"""Counting by hand and with a streams library."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section
from newsroom_lab.streaming import count_by_hand, wordcount

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

WORD = "value10"
ROUNDS = 3


def steps(lab: Lab, *, kept: bool = False) -> None:
    """Count words with a consumer and with a stream; restart both between three rounds and three more."""
    texts, counts = lab.topic(partitions=5), lab.topic("counts", partitions=5, cleanup_policy="compact")
    by_hand, stream = lab.group("by-hand"), lab.stream_group("stream")
    state = lab.folder()
    memory: Counter[str] = Counter()

    def read() -> int:
        return int(lab.observer.table(counts).get(WORD, b"0"))

    for part in (1, 2):
        lab.step(f"Send {ROUNDS} rounds, and count them" if part == 1 else f"Restart both, and send {ROUNDS} more")
        lab.run("news-producer", "--format", "string", "--topic", texts, "--rounds", str(ROUNDS))
        memory = memory if kept else Counter()
        count_by_hand(lab, by_hand, texts, memory)
        with lab.running(*wordcount(stream, texts, counts, state)):
            lab.sees(f"{WORD} is counted", lambda wanted=ROUNDS * part: read() >= wanted, 60)  # type: ignore[misc]
    lab.bars(f"count of {WORD} after {2 * ROUNDS} rounds", {"by hand": memory[WORD], "stream": read()})
    lab.answer(memory[WORD], f"by hand {memory[WORD]}, with a stream {read()}, sent {2 * ROUNDS}")
    lab.holds("the program forgot what it had in memory", memory[WORD] == ROUNDS, memory[WORD])
    lab.holds("the stream still knows it", read() == 2 * ROUNDS, read())


EXPERIMENT = Experiment(
    section=Section.STREAMS,
    rows=(33,),
    question=(
        "A program reads with a consumer, counts words in memory and commits. After three rounds of the course's "
        "strings it is restarted, and three more rounds come. What is its count of value10?"
    ),
    predict=Number("times"),
    steps=steps,
    why="""A consumer gives you records and offsets; what you keep of them is your own matter. Committed offsets survive
    a restart and memory does not, so the two no longer fit together. A streams library keeps state beside the
    offsets: in a store on disk, with each change also in a changelog topic. Use the consumer API for what needs no
    memory (write each record somewhere), and a streams library where a result depends on earlier records: counts,
    joins, windows.""",
    wrong={"a program's memory survives": {"kept": True}},
    terms=("state store", "changelog", "consumer"),
)
