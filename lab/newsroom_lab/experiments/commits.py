"""Why the same records are read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, delivery: str = "at-least-once") -> None:
    """Read the same topic twice with a group that does not commit, and twice with one that does."""
    topic = lab.topic()
    lab.run("news-producer", "--format", "string", "--topic", topic)
    rows, second = [], {}
    for mode in ("never", delivery):
        group = lab.group(mode)
        reads = []
        for turn in ("first", "second"):
            lab.step(f"Read with --delivery {mode}, {turn} time")
            done = lab.run(*lab.consumer(topic, group, "--format", "string", "--delivery", mode, "--until-end"))
            reads.append(sum(line.startswith("Value :") for line in done.lines))
        second[mode] = reads[1]
        rows.append((mode, *reads, sum(lab.committed(group, topic).values())))
    lab.table("records read", ("--delivery", "first start", "second start", "committed offset"), rows)
    lab.answer(
        second["never"], f"the second start reads {second['never']} without commits, {second[delivery]} with them"
    )
    lab.holds("without commits everything is read again", second["never"] == 42, f"{second['never']} of 42")
    lab.holds("with commits nothing is", second[delivery] == 0, f"{second[delivery]} of 42")


EXPERIMENT = Experiment(
    section=Section.CONSUMER,
    rows=(19,),
    question="A consumer reads the same data at each start. What must be changed so that it does not?",
    predict=Choice(
        ("it must switch automatic commits off", "it must commit its offsets", "it needs a new group each time"),
        right=1,
    ),
    steps=steps,
    why="""A group continues at its committed offset, so somebody must commit: the client by itself
    (enable.auto.commit), or the program after it has processed the records. Automatic commits switched off
    without commits of one's own are the cause of the re-reading, not its cure. The second is safer, since the
    program knows what it has finished.""",
    wrong={"commits make no difference": {"delivery": "never"}},
    terms=("committed offset", "consumer group"),
)
