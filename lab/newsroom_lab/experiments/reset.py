"""How a group reads again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, stop: bool = True) -> None:
    """Try to reset the offsets of a group that runs, then of one that has stopped."""
    topic, group = lab.topic(), lab.group()
    lab.run("news-producer", "--format", "string", "--topic", topic)
    command = lab.consumer(topic, group, "--format", "string")
    reset = ("groups", "reset", group, "--to", "10", "--execute")
    lab.step("Let the group read everything, and try to reset it while it runs")
    with lab.running(*command) as consumer:
        lab.until("it has read everything", lambda: lab.lag(group, topic) == 0)
        refused = lab.run("newsroom", *reset, codes=(0, 1))
        if stop:
            lab.step("Stop its consumer, and reset it")
            consumer.stop()
            lab.until("the group is empty", lambda: lab.run("newsroom", *reset, codes=(0, 1)).code == 0)
    lab.step("Start the consumer again")
    again = lab.run(*command, "--until-end")
    read = sum(line.startswith("Value :") for line in again.lines)
    lab.answer(read, f"the running group was not reset; after it had stopped, {read} of 42 records were read again")
    lab.holds("a running group is not reset", refused.code == 1, " ".join(refused.lines[-1:]))
    lab.holds("the group reads again from the offset that was set", read == 32, f"{read} read")


EXPERIMENT = Experiment(
    section=Section.CONSUMER,
    rows=(22,),
    question=(
        "A bug has spoiled the results. A running group shall read again from offset 10. Can its offsets be set?"
    ),
    predict=Choice(
        ("yes, at any time", "only while no consumer of the group runs", "no, a new group is needed"), right=1
    ),
    steps=steps,
    why="""A running consumer has its place in memory and commits it again, so a reset would be undone: the
    coordinator refuses it while the group has members. Stop them, set the offsets (earliest, latest, a time,
    an offset), start them. Everything downstream sees the records a second time, so the effects must bear
    that.""",
    wrong={"nobody stops the consumer": {"stop": False}},
    terms=("committed offset", "consumer group"),
)
