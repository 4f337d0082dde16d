"""What a stream knows after its end."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section
from newsroom_lab.streaming import wordcount

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

ROUNDS = 3


def steps(lab: Lab, *, changelog: bool = True) -> None:
    """Stop the word count, delete its state on disk, and start it again."""
    texts, counts = lab.topic(partitions=5), lab.topic("counts", partitions=5, cleanup_policy="compact")
    group, state = lab.stream_group(), lab.folder()
    command = wordcount(group, texts, counts, state)
    lab.step(f"Count {ROUNDS} rounds, and stop the stream")
    lab.run("news-producer", "--format", "string", "--topic", texts, "--rounds", str(ROUNDS))
    with lab.running(*command) as stream:
        lab.until("value10 is counted", lambda: _count(lab, counts) == ROUNDS, 60)
        code = stream.stop()
    kept = sum(file.is_file() for file in state.rglob("*"))
    lab.step(f"Delete its {kept} files, send a round and start it again")
    shutil.rmtree(state)
    state.mkdir()
    name = f"changelog__{group}--{group}-word-deltas--default"
    records = lab.total(name)
    if not changelog:
        lab.kafka("topics", "--delete", "--topic", name)
    lab.run("news-producer", "--format", "string", "--topic", texts)
    with lab.running(*command) as stream:
        lab.sees("value10 is counted again", lambda: _count(lab, counts) > ROUNDS or stream.code is not None, 60)
        lab.say(*stream.lines("error")[-1:])
    lab.answer(_count(lab, counts), f"value10 is {_count(lab, counts)}; the changelog had {records} records")
    lab.holds("a stop signal ends the stream in order", code == 0, f"exit code {code}")
    lab.holds(
        "the count goes on where it was, without the files", _count(lab, counts) == ROUNDS + 1, _count(lab, counts)
    )


def _count(lab: Lab, counts: str) -> int:
    return int(lab.observer.table(counts).get("value10", b"0"))


EXPERIMENT = Experiment(
    section=Section.STREAMS,
    rows=(37,),
    question=(
        "A stream has counted value10 three times. It is stopped, its state on disk is deleted, a fourth value10 is "
        "sent, and it starts again. What is the count?"
    ),
    predict=Number("times"),
    steps=steps,
    why="""Each change of the state is also a record of the changelog, a compacted topic, in the same transaction as the
    results and the committed offsets. A replica without files reads the changelog first, and then goes on at the
    committed offset; with its files it reads only what is newer, which is quicker. The disk is a cache: what
    counts is in Kafka. Without changelog and files the offsets would go on with empty counts, so the service
    refuses to start.""",
    wrong={"the files are enough, a changelog is not needed": {"changelog": False}},
    terms=("changelog", "state store", "committed offset"),
)
