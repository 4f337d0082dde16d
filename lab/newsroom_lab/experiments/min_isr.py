"""How many replicas a write needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


DELIVERED = r"finished .*delivered=(\d+)"


def steps(lab: Lab, *, least: int = 3) -> None:
    """Write to two topics while one of three brokers is away, and again when it is back."""
    two = lab.topic("two", partitions=3, min_insync_replicas=2)
    three = lab.topic("three", partitions=3, min_insync_replicas=least)

    def delivered(topic: str) -> int:
        done = lab.run(
            "news-producer", "--format", "string", "--topic", topic, "--message-timeout", "8", codes=(0, 1, 2, 3)
        )
        return int(done.search(DELIVERED)[1])

    lab.step("Kill one of the three brokers")
    with lab.away("kafka-3"):
        lab.until("it is out of sync", lambda: all(len(part.isrs) == 2 for part in lab.partitions(two)))
        lab.step("Write to the topic that demands two in-sync replicas")
        written = delivered(two)
        lab.step(f"Write to the topic that demands {least}")
        refused = delivered(three)
        readable = lab.total(three)
    lab.step("The broker is back: write again")
    lab.until("all replicas are in sync", lambda: all(len(part.isrs) == 3 for part in lab.partitions(three)), 60)
    again = delivered(three)
    rows = [("2", written, "-"), (str(least), refused, again)]
    lab.table("records written, of 42", ("min.insync.replicas", "one broker away", "all there"), rows)
    lab.answer(refused, f"with one broker away 2 in sync took {written} records, {least} in sync took {refused}")
    lab.holds("two of three suffice for the first topic", written == 42, f"{written} of 42")
    lab.holds("the second refuses every record", refused == 0 and readable == 0, f"{refused} of 42")
    lab.holds("it takes them again when the broker is back", again == 42, f"{again} of 42")


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(15,),
    question=(
        "Two topics have three replicas; min.insync.replicas is 2 for one and 3 for the other. One broker "
        "dies. What can be written with acks=all?"
    ),
    predict=Choice(("both topics", "only the topic with 2", "neither"), right=1),
    steps=steps,
    why="""acks=all waits for all replicas that are in sync, however few they are; min.insync.replicas says how few
    are too few. With 3 of 3 no broker may be away: each restart stops all writers. With 2 of 3 one may, and
    each acknowledged record is still on two disks. Reading goes on in any case.""",
    wrong={"both topics demand two": {"least": 2}},
    disturbs=True,
    terms=("in-sync replica", "acknowledgement"),
)
