"""A consumer that works on a batch for longer than its poll interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-parcels"
GROUP = "repair-packers"
PROGRAM = "packer"
BACKLOG = 32
BATCH = 16
SECONDS_PER_RECORD = 0.5
INTERVAL_MS = 6000
"""A batch takes eight seconds."""


def break_(site: Site) -> None:
    """Start a consumer with a backlog whose batches take longer than it may stay away."""
    site.topic(TOPIC)
    site.send(TOPIC, [(None, f"parcel {number}") for number in range(BACKLOG)])
    site.note("group", GROUP)
    site.program(
        PROGRAM,
        (
            f"group.id={GROUP}",
            "session.timeout.ms=6000",
            f"max.poll.interval.ms={INTERVAL_MS}",
            f"work.topic={TOPIC}",
            "# how many records it takes at a time, and how long it works on each",
            f"work.batch={BATCH}",
            f"work.seconds={SECONDS_PER_RECORD}",
        ),
    )
    site.until("it has begun to work", lambda: site.members(GROUP) == 1)


def check(site: Site) -> Seen:
    """Send two parcels, and wait until the group has committed everything."""
    site.send(TOPIC, [(None, "one parcel more"), (None, "and another")])
    ends = site.observer.end_offsets(TOPIC)
    worked = site.sees("the group is at the end", lambda: site.observer.passed(GROUP, TOPIC, ends), 60)
    place = site.observer.committed(GROUP, TOPIC).get(0, 0)
    return Seen(worked, f"group {GROUP} has committed {place} of {ends[0]} parcels")


FAULT = Fault(
    number=5,
    symptom=f"The group {GROUP} works all the time and gets nowhere: its lag in {TOPIC} does not shrink, and the same "
    "parcels are packed again and again. Its program takes its settings from {home}/repair/packer.properties, and "
    "starts anew when they change.",
    set=break_,
    check=check,
    hints=(
        "Read what the program writes to {home}/repair/packer.log, and how its commits end.",
        (
            "A member that does not poll for max.poll.interval.ms is put out of its group, and its commit is refused. "
            "How long does it work on a batch?"
        ),
        (
            f"{BATCH} records at {SECONDS_PER_RECORD} s take longer than {INTERVAL_MS} ms: take fewer at a time, or "
            "allow more time."
        ),
    ),
    cause="The program worked on a batch for longer than max.poll.interval.ms. The group took it for dead, gave its "
    "partition away and refused its commit; then it joined again, and began with the same batch.",
    solution=("sed -i.bak 's/^max.poll.interval.ms=.*/max.poll.interval.ms=60000/' {home}/repair/packer.properties",),
)
