"""A group whose members share a partition record by record."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_lab.lab import Lab
    from newsroom_lab.programs import Running

CHANGES = 5
"""So often a record goes to another member than the one before. In a consumer group that happens only when a member
joins or leaves: twice."""

PACE = 0.02
SECONDS = 60.0
IDLE_MS = 10_000
RECORD = r"^record \d+$"


def steps(lab: Lab, *, share: bool = True) -> None:
    """Let two members read a topic with one partition, and count who got what."""
    topic, group = lab.topic(), lab.name()
    tool = "console-share-consumer" if share else "console-consumer"
    lab.finally_do(lambda: _forget(lab, group, share=share))
    if share:
        lab.step("A share group begins at the end of a topic; let this one begin at the start")
        entity = ("--entity-type", "groups", "--entity-name", group)
        lab.kafka("configs", "--alter", *entity, "--add-config", "share.auto.offset.reset=earliest")
    lab.step("Start two members, and write to the topic's only partition")
    beginning = () if share else ("--from-beginning",)
    where = ("--topic", topic, "--group", group, *beginning)
    command = ("newsroom", "kafka", tool, *where, "--timeout-ms", str(IDLE_MS))
    with lab.running(*command) as first, lab.running(*command) as second:
        sending = lab.send(topic, _records((first, second)), pace=PACE)
        for member in (first, second):
            member.wait(2 * SECONDS)
        changes = _changes((first, second))
        got = [member.lines(RECORD) for member in (first, second)]
    counts = {f"member {number}": len(lines) for number, lines in enumerate(got, 1)}
    lab.bars("records of the only partition, by member", counts, "records")
    shares = sorted(counts.values())
    lab.answer(shares[0], f"of {sending.sent} records in one partition the members got {shares[1]} and {shares[0]}")
    lab.holds(
        "the members get records of the same partition side by side",
        changes >= CHANGES,
        f"{changes} times the next record went to the other one",
    )
    lab.holds("together they get each record once", sorted(got[0] + got[1]) == sorted(set(got[0] + got[1])))
    lab.holds("no record is missing", len(set(got[0] + got[1])) == sending.sent, f"{sending.sent} were sent")


def _records(members: tuple[Running, Running]) -> Iterator[tuple[None, str]]:
    """Records until the members have taken turns often enough, or the time is over."""
    end, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end and _changes(members) < CHANGES:
        yield None, f"record {number}"
        number += 1


def _changes(members: tuple[Running, Running]) -> int:
    """How often a record went to another member than the one before it."""
    owners = {int(line.split()[1]): place for place, member in enumerate(members) for line in member.lines(RECORD)}
    return sum(owners[before] != owners[after] for before, after in pairwise(sorted(owners)))


def _forget(lab: Lab, group: str, *, share: bool) -> None:
    lab.kafka("share-groups" if share else "consumer-groups", "--delete", "--group", group, codes=(0, 1))


EXPERIMENT = Experiment(
    section=Section.DEEPER,
    rows=(),
    question=(
        "Two members read a topic with one partition. In a consumer group one of them is idle. What happens in a "
        "share group?"
    ),
    predict=Choice(
        (
            "one of them is idle, too",
            "both get records of the partition, each record goes to one of them",
            "both get every record",
        ),
        right=1,
    ),
    steps=steps,
    why="""A share group (KIP-932, ready for production since Kafka 4.2) is a queue: the broker hands out records one by
    one, locks each for a while, and counts its deliveries until a member acknowledges, releases or rejects it.
    So there may be more members than partitions, and a slow record holds up no other. The price is order:
    records of a key may be processed side by side. Where order matters a consumer group is right.""",
    wrong={"a consumer group does the same": {"share": False}},
    terms=("share group", "consumer group", "partition"),
)
