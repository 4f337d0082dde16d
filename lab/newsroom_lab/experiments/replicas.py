"""Where a topic's records are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, replicas: int = 3) -> None:
    """Make the topic of the course, look at it, and take a broker away."""
    lab.step("Make a topic with five partitions")
    topic = lab.topic(partitions=5, replicas=replicas)
    lab.kafka("topics", "--describe", "--topic", topic)
    lab.run("news-producer", "--format", "string", "--topic", topic)
    lab.step("Kill one of the three brokers, and read the topic")
    with lab.away("kafka-3"):
        answers = lab.sees(
            "every partition has a leader again", lambda: all(p.leader in {1, 2} for p in lab.partitions(topic)), 20
        )
        left = [len(partition.isrs) for partition in lab.partitions(topic)]
        read = len(lab.read(topic)) if answers else 0
    back = lab.sees("all in sync", lambda: all(len(p.isrs) == replicas for p in lab.partitions(topic)))
    lab.answer(read, f"without kafka-3 {read} of 42 records can be read; in sync per partition: {left}")
    lab.holds("every partition has a leader without the lost broker", answers, f"in sync {left}")
    lab.holds("every record can be read without it", read == 42, f"{read} of 42")
    lab.holds("the replicas are in sync again when it is back", back)


EXPERIMENT = Experiment(
    section=Section.CLUSTER,
    rows=(2,),
    question=(
        "A topic has five partitions with three replicas each, on three brokers, and 42 records. One broker "
        "is killed. How many of the records can be read?"
    ),
    predict=Number("records"),
    steps=steps,
    why="""Each partition is a log, and each replica of it is a whole copy on another broker. One replica leads:
    clients write to it and read from it, and the others fetch from it. The in-sync replicas are those that
    have caught up; when the leader dies, the controller makes one of them the leader. With a replication
    factor of 1 a dead broker takes its partitions along.""",
    wrong={"one replica is enough": {"replicas": 1}},
    disturbs=True,
    terms=("replica", "leader", "in-sync replica"),
)
