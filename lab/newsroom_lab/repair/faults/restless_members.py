"""Two members of a group with one static id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-jobs"
GROUP = "repair-workers"
PARTITIONS = 4
CALM = 20
"""So many times, about five seconds, the group must be seen whole."""


def break_(site: Site) -> None:
    """Start two consumers whose settings differ in nothing."""
    site.topic(TOPIC, PARTITIONS)
    site.note("group", GROUP)
    for number in (1, 2):
        site.program(
            f"worker-{number}",
            (
                f"group.id={GROUP}",
                "group.instance.id=worker-1",
                "session.timeout.ms=6000",
                f"work.topic={TOPIC}",
                "work.batch=10",
                "work.seconds=0.05",
            ),
        )
    site.until("a worker has begun", lambda: site.members(GROUP) == 1)


def check(site: Site) -> Seen:
    """Look whether both workers stay and share the partitions, and whether they do what is sent."""
    calm = most = 0

    def whole() -> bool:
        nonlocal calm, most
        members = site.members(GROUP)
        most = max(most, members)
        calm = calm + 1 if members == 2 else 0  # noqa: PLR2004 - two workers
        return calm >= CALM

    steady = site.sees("both workers stay", whole, 30)
    site.send(TOPIC, [(f"job-{number}", "x") for number in range(20)])
    ends = site.observer.end_offsets(TOPIC)
    worked = site.sees("the jobs are done", lambda: site.observer.passed(GROUP, TOPIC, ends), 15)
    return Seen(
        steady and worked,
        f"of two workers {most} shared the partitions at a time{'' if steady else ', and not steadily'}; the jobs were "
        f"{'' if worked else 'not '}done",
    )


FAULT = Fault(
    number=11,
    symptom=f"Two workers of the group {GROUP} die in turns: each one comes back, and then the other one ends. The "
    "group never has both. They take their settings from {home}/repair/worker-1.properties and worker-2.properties, "
    "and start anew when these change.",
    set=break_,
    check=check,
    hints=(
        "Read why they end: {home}/repair/worker-1.log and worker-2.log.",
        "'fenced' means that another member has come with the same identity. Which setting names a member?",
        "group.instance.id must be different for each member of a group.",
    ),
    cause="Both workers had the group.instance.id worker-1, as it happens when a file is copied. The group takes the "
    "one that joins last for the first one come back, and fences the other.",
    solution=("sed -i.bak 's/^group.instance.id=.*/group.instance.id=worker-2/' {home}/repair/worker-2.properties",),
)
