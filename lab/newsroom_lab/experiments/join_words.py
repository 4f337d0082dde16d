"""Two topics that belong together by their keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section
from newsroom_lab.streaming import wordcount

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

ROUNDS = 6


def steps(lab: Lab, *, key: str = "value10", value: str = "active") -> None:
    """Count six rounds, then send a label for one of the words."""
    texts, counts = lab.topic(partitions=5), lab.topic("counts", partitions=3, cleanup_policy="compact")
    labels, joined = lab.topic("labels", partitions=3), lab.topic("joined", partitions=3)
    places = ("--labels-topic", labels, "--counts-topic", counts, "--joined-topic", joined)
    lab.step("Count six rounds of the course's strings, and join labels with the counts")
    lab.run("news-producer", "--format", "string", "--topic", texts, "--rounds", str(ROUNDS))
    join, count = lab.stream_group("join"), lab.stream_group("count")
    command = ("join-service", "--consumer-group", join, *places, "--state-dir", str(lab.folder()))
    with lab.running(*wordcount(count, texts, counts, lab.folder())), lab.running(*command):
        lab.passed(count, texts)
        lab.until("value10 is counted", lambda: lab.observer.table(counts).get("value10") == b"6", 60)
        lab.passed(join, counts)
        lab.step(f"Send the label '{value}' with the key {key}")
        lab.send(labels, [(key, value)])
        lab.passed(join, labels)
        lab.sees("a pair", lambda: lab.read(joined), 5)
        pairs = {(record.key or b"").decode(): json.loads(record.value or b"{}") for record in lab.read(joined)}
        lab.step("Send one more round: does the pair change?")
        lab.run("news-producer", "--format", "string", "--topic", texts)
        lab.until("value10 is counted", lambda: lab.observer.table(counts).get("value10") == b"7", 60)
        lab.passed(join, counts)
    number = len(lab.read(joined))
    pair = pairs.get("value10", {})
    lab.say(f"pairs: {pairs}")
    lab.answer(pair.get("count", 0), f"value10 was joined as ({pair.get('count')}, {pair.get('label')})")
    lab.holds("the label met the count of its word", (pair.get("count"), pair.get("label")) == (ROUNDS, "active"), pair)
    lab.holds(
        "a later count makes no second pair: the table is asked when a label comes", number == 1, f"{number} pairs"
    )


EXPERIMENT = Experiment(
    section=Section.STREAMS,
    rows=(36,),
    question=(
        "value10 has been counted six times when the label 'active' comes with the key value10; then value10 is sent "
        "once more. With which count was the label joined?"
    ),
    predict=Number("times"),
    steps=steps,
    why="""The counts are a table: per key only the newest value. The labels are a stream: each one asks the table once,
    when it comes, and the pair is (6, active). Stream and table meet in one replica because both topics have the
    same number of partitions and the same partitioner, so a key has the same partition number in both. With
    another number, or a producer with another partitioner, labels would meet nothing, without an error.""",
    wrong={"values are joined, whatever their keys": {"key": "active", "value": "value10"}},
    terms=("join", "ktable", "co-partitioning"),
)
