"""Who must have a record before the producer believes that it is safe."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


RATE, RECORDS = 2000, 16_000
DELIVERED = r"finished .*delivered=(\d+)"


def steps(lab: Lab, *, acks: str = "all") -> None:
    """Kill the leader while a producer sends, and compare what it believes with what is there."""
    rows, lost = [], {}
    for level in dict.fromkeys(("0", acks)):
        topic = lab.topic(f"acks-{level}")
        leader = lab.leader(topic)
        lab.step(f"Send {RATE} records a second with acks={level}, and kill the leader, {leader}, meanwhile")
        with lab.running(
            "news-producer", "--format", "string", "--topic", topic, "--acks", level, "--rate", str(RATE), "--rounds",
            "1000", "--count", str(RECORDS), NEWSROOM_LOG_FORMAT="console",
        ) as producer:  # fmt: skip
            lab.until("the producer sends", partial(_sends, lab, topic))
            with lab.away(leader):
                pass
            producer.wait(120)
        delivered = int(producer.moments(DELIVERED)[-1][1][1])
        stored = lab.total(topic)
        lost[level] = delivered - stored
        rows.append((f"acks={level}", delivered, stored, max(0, delivered - stored)))
    lab.table("what the producer says, and what the topic has", ("", "delivered", "stored", "lost"), rows)
    lab.answer(lost["0"], f"acks=0 lost {lost['0']} of {RECORDS} records that the producer calls delivered")
    lab.holds("what must not be lost was not lost", lost[acks] <= 0, f"acks={acks}: {lost[acks]} lost")


def _sends(lab: Lab, topic: str) -> bool:
    return lab.total(topic) > RATE


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(13,),
    question=(
        "The leader of a partition dies while a producer sends. With which acks does the producer call "
        "records delivered that nobody has?"
    ),
    predict=Choice(("with acks=0", "with acks=all", "with none: the producer sends again"), right=0),
    steps=steps,
    why="""acks=0: a record is 'delivered' when it has left the client, so what the dying broker had not replicated
    is gone, and nobody knows. acks=1: the leader has it, and it is lost if the leader dies before a follower
    has fetched it. acks=all: all in-sync replicas have it, so any of them can lead. acks=0 is for
    measurements of which some may be missing.""",
    wrong={"acks=0 is enough": {"acks": "0"}},
    disturbs=True,
    terms=("acknowledgement", "leader", "in-sync replica"),
)
