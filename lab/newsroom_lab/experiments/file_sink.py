"""A topic in a file, without a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.connecting import FileSink
from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

ROUND = 42


def steps(lab: Lab, *, same: bool = True) -> None:
    """Let Connect write a topic to a file, restart the connector in the middle, and compare file and topic."""
    topic = lab.topic(partitions=5)
    sink = FileSink(lab, topic)
    lab.step("Make a connector: only a configuration, sent to the worker")
    sink.create()
    lab.run("news-producer", "--format", "string", "--topic", topic)
    lab.until(f"{ROUND} lines", lambda: len(sink.lines()) >= ROUND, 60)
    lab.passed(sink.group, topic)
    if same:
        lab.step("Restart it with its task, and send 42 more")
        lab.ask(f"{sink.url}/restart?includeTasks=true", "POST")
    else:
        lab.step("Delete it, make another one that writes the same file, and send 42 more")
        sink.delete()
        sink = FileSink(lab, topic, "other", file=sink.file)
        sink.create()
    lab.run("news-producer", "--format", "string", "--topic", topic)
    lab.sees("all lines", lambda: len(sink.lines()) >= 2 * ROUND, 60)
    lab.passed(sink.group, topic)
    lines = sink.lines()
    lab.say(*lines[:3])
    lab.answer(len(lines), f"{lab.total(topic)} records in the topic are {len(lines)} lines in the file")
    lab.holds("each record is one line", len(lines) == 2 * ROUND, f"{len(lines)} lines")
    lab.holds("within a partition the lines are in the order of the records", _in_order(lab, topic, lines))


def _in_order(lab: Lab, topic: str, lines: list[str]) -> bool:
    partitions: dict[int, list[str]] = {}
    for record in lab.read(topic):
        partitions.setdefault(record.partition, []).append((record.value or b"").decode())
    # Equal values have equal keys, so they are in one partition.
    return all([line for line in lines if line in set(values)] == values for values in partitions.values())


EXPERIMENT = Experiment(
    section=Section.CONNECT,
    rows=(29,),
    question=(
        "A file connector has written 42 records. It is restarted, and 42 more records are sent. How many "
        "lines has its file?"
    ),
    predict=Number("lines"),
    steps=steps,
    why="""Kafka Connect runs connectors: you write no program, only a configuration. The worker commits what a sink
    has written as offsets of a consumer group, whose name comes from the connector's name. So a restart goes on
    where it stopped, and a connector with another name begins anew. Partitions are read side by side: lines of
    two partitions may be mixed, and those of one keep their order.""",
    wrong={"another connector goes on where the first one stopped": {"same": False}},
    terms=("connector", "consumer group", "committed offset"),
)
