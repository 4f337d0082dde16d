"""What a second group sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, second: str = "b") -> None:
    """Read a topic with one group, then with another."""
    topic = lab.topic()
    lab.run("news-producer", "--format", "string", "--topic", topic)
    read = {}
    groups = {"first": lab.group("a"), "second": lab.group(second)}
    for name, group in groups.items():
        lab.step(f"Read with the {name} group")
        done = lab.run(*lab.consumer(topic, group, "--format", "string", "--until-end"))
        read[name] = sum(line.startswith("Value :") for line in done.lines)
    committed = lab.committed(groups["first"], topic)
    lab.bars("records read", read)
    lab.answer(read["second"], f"the first group read {read['first']}, the second {read['second']}")
    lab.holds("the second group reads everything again", read["second"] == 42, f"{read['second']} of 42")
    lab.holds("the first group stays where it was", sum(committed.values()) == 42, f"committed {committed}")


EXPERIMENT = Experiment(
    section=Section.CONSUMER,
    rows=(23,),
    question="One group has read all 42 records. A consumer of a second, new group starts. How many does it read?",
    predict=Number("records"),
    steps=steps,
    why="""Each group has offsets of its own, so each sees the whole topic: two services that need the same records
    use two groups. Within a group each record goes to one member. To read again after a bug, a new group
    leaves the old one untouched, so results can be compared before one switches over.""",
    wrong={"both consumers are in one group": {"second": "a"}},
    quick=True,
    terms=("consumer group",),
)
