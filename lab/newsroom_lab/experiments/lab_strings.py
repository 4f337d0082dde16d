"""The 42 records of the course."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


KEYS = 21
LINE = r'Sending message with key "key20" and value "filter20"'


def steps(lab: Lab, *, count: int = 0) -> None:
    """Run the producer once, and read the topic with nothing but Kafka."""
    topic = lab.topic(partitions=5)
    lab.step("Run the string producer")
    options = ("--count", str(count)) if count else ()
    done = lab.run("news-producer", "--format", "string", "--topic", topic, *options)
    lab.step("Read the topic from its beginning")
    records = lab.read(topic)
    pairs: dict[str, list[str]] = {}
    for record in records:
        pairs.setdefault((record.key or b"").decode(), []).append((record.value or b"").decode())
    rows = [(key, ", ".join(pairs.get(key, []))) for key in ("key0", "key20")]
    lab.table("what two of the keys have", ("key", "values"), rows)
    wanted = {f"key{number}": [f"value{number}", f"filter{number}"] for number in range(KEYS)}
    lab.answer(len(records), f"{len(records)} records with {len(pairs)} keys")
    lab.holds("each key has its value and then its filter", pairs == wanted, f"{len(pairs)} keys")
    lab.holds("the log names each record", LINE in done.text, LINE)


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(8,),
    question=(
        "For each i from 0 to 20 the producer sends value{i} and filter{i}, both with the key key{i}. How "
        "many records does the topic have then?"
    ),
    predict=Number("records"),
    steps=steps,
    why="""Two records for each of 21 keys. Both records of a key are on one partition, in the order in which they
    were sent. The producer does not wait for an acknowledgement before the next record; it counts all of them
    at the end.""",
    wrong={"half of them are enough": {"count": 21}},
    quick=True,
    terms=("record", "key"),
)
