"""Two producers with one transactional id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from newsroom.kafka_errors import reason_of
from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, same: bool = True) -> None:
    """Begin a transaction, let a second producer take over, and try to commit the first one."""
    topic = lab.topic()
    lab.step("The first producer begins a transaction and writes; then it stands still")
    first = lab.transactional(topic)
    first.begin_transaction()
    first.produce(topic, "from the zombie")
    first.flush(10)

    lab.step("A second producer takes over its work, writes and commits")
    second = lab.transactional(topic if same else f"{topic}-2")
    second.begin_transaction()
    second.produce(topic, "from the successor")
    second.commit_transaction(10)

    lab.step("The first one wakes up and commits")
    try:
        first.commit_transaction(10)
        refusal = ""
    except KafkaException as error:
        refusal = reason_of(error)
        lab.say(refusal)
    everything, committed = lab.visible(topic, "read_uncommitted"), lab.visible(topic)
    rows = [(isolation, len(values), b", ".join(values).decode()) for isolation, values in
            (("read_uncommitted", everything), ("read_committed", committed))]  # fmt: skip
    lab.table("what a reader gets", ("isolation.level", "records", "values"), rows)
    lab.answer(
        len(committed), f"of two results readers get {len(committed)}; the zombie was told: {refusal or 'nothing'}"
    )
    lab.holds("the zombie's commit is refused", refusal, refusal)
    lab.holds("readers get the successor's result alone", committed == [b"from the successor"], committed)


EXPERIMENT = Experiment(
    section=Section.DEEPER,
    rows=(),
    question=(
        "A process stands still in the middle of a transaction, and a successor with the same transactional.id does "
        "its work. Then the first one wakes up and commits. What do readers get?"
    ),
    predict=Choice(("both results", "the first one's result", "the successor's result"), right=2),
    steps=steps,
    why="""When a producer starts, the transaction coordinator raises the epoch of its transactional id and aborts what
    an older epoch has left open. Every later write or commit with the older epoch is fenced. So the id must
    belong to the work and not to the process: the successor needs the same one. With a random id for each
    process nobody is fenced, and both results stay.""",
    wrong={"each process has an id of its own": {"same": False}},
    terms=("transaction", "zombie fencing", "idempotence"),
)
