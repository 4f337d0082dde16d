"""A stateless operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section
from newsroom_lab.streaming import wordcount

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

TEXT = "the filter of my coffee machine"


def steps(lab: Lab, *, text: str = TEXT) -> None:
    """Send a round of the course and one more text, and look at the words that were counted."""
    texts, counts = lab.topic(partitions=5), lab.topic("counts", partitions=5, cleanup_policy="compact")
    lab.step("Send a round: 21 values and 21 filters, and one text")
    lab.run("news-producer", "--format", "string", "--topic", texts)
    lab.send(texts, [("key", text)])
    group = lab.stream_group()
    with lab.running(*wordcount(group, texts, counts, lab.folder())):
        lab.passed(group, texts)
        lab.until("the values are counted", lambda: len(lab.observer.table(counts)) >= 21, 60)
    words = sorted(lab.observer.table(counts))
    lab.say(", ".join(words))
    lab.answer(len(words), f"{lab.total(texts)} records, {len(words)} words counted")
    lab.holds("no record with 'filter' in it was counted", words == sorted(f"value{n}" for n in range(21)), len(words))


EXPERIMENT = Experiment(
    section=Section.STREAMS,
    rows=(35,),
    question=(
        "A round of 42 records (value0 to value20, filter0 to filter20) and the text 'the filter of my coffee machine' "
        "are sent. The stream drops records that contain 'filter', then counts words. How many different words does it "
        "count?"
    ),
    predict=Number("words"),
    steps=steps,
    why="""The filter looks at the record, before it is split into words: the whole text about the coffee machine goes,
    not only its one word. A filter is stateless: it needs to know nothing but the record, so any replica can do it
    without a store or a changelog. It is cheapest as early as possible, before records are repartitioned.""",
    wrong={"a filter drops words": {"text": "the machine of my coffee"}},
    terms=("stateless",),
)
