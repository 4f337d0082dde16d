"""What a cluster is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

NODES = 3


def steps(lab: Lab, *, replicas: int = 3) -> None:
    """Look at the quorum, then at where the replicas of a topic are."""
    lab.step("Ask who leads the metadata quorum")
    status = lab.kafka("metadata-quorum", "describe", "--status")
    leader = status.search(r"^LeaderId:\s+(\d+)")[1]
    voters = status.search(r"^CurrentVoters:\s+(.*)")[1].count('"id"')

    lab.step("Make a topic with six partitions, and look where its replicas are")
    partitions = lab.partitions(lab.topic(partitions=6, replicas=replicas))
    nodes = [f"kafka-{number}" for number in range(1, NODES + 1)]
    rows = []
    for partition in partitions:
        followers = set(partition.replicas)
        marks = ["leader" if n == partition.leader else "·" if n in followers else "" for n in (1, 2, 3)]
        rows.append((partition.id, *marks, len(partition.isrs)))
    lab.table("partitions by broker: the leader, · a follower", ("partition", *nodes, "in sync"), rows)

    lab.answer(voters, f"{voters} controllers vote, kafka-{leader} leads; {NODES} brokers hold the replicas")
    lab.holds("three nodes vote, and one of them leads", voters == NODES, f"leader {leader}")
    spread = {partition.leader for partition in partitions}
    lab.holds("leadership is spread over all brokers", len(spread) == NODES, f"leaders {sorted(spread)}")
    lab.holds(
        "each partition has a copy on each broker, and all of them are in sync",
        all(len(partition.isrs) == NODES for partition in partitions),
        f"in sync: {[len(partition.isrs) for partition in partitions]}",
    )


EXPERIMENT = Experiment(
    section=Section.CLUSTER,
    rows=(1,),
    question="The cluster has three brokers. How many nodes vote on who controls it?",
    predict=Number("nodes"),
    steps=steps,
    why="""Since KRaft, the controllers are a quorum of Kafka nodes themselves: no ZooKeeper. A majority of them
    elects the leader that decides which broker leads which partition. Three can lose one and go on. Here each
    node is both broker and controller; a large cluster separates the two.""",
    wrong={"one replica is enough": {"replicas": 1}},
    quick=True,
    terms=("broker", "controller", "in-sync replica"),
)
