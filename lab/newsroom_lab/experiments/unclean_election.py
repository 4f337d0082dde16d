"""What a partition does when only a replica that is behind is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

LEADER, FOLLOWER = 1, 2
BEFORE, MEANWHILE, AFTER = 50, 100, 10


def steps(lab: Lab, *, unclean: bool = True) -> None:
    """Kill the follower, write, kill the leader, start the follower: it may lead one topic, and not the other."""
    on = (LEADER, FOLLOWER)
    safe = lab.topic("off", on=on, min_insync_replicas=1, unclean_leader_election_enable="false")
    risky = lab.topic("on", on=on, min_insync_replicas=1, unclean_leader_election_enable=str(unclean).lower())
    topics = {"off": safe, "on": risky}
    for topic in topics.values():
        lab.send(topic, _records("before", BEFORE))
    lab.finally_do(lambda: _restore(lab))

    lab.step(f"Kill kafka-{FOLLOWER}, which has a copy, and write {MEANWHILE} records: kafka-{LEADER} alone has them")
    lab.kill(f"kafka-{FOLLOWER}")
    lab.until("it is out of sync", lambda: all(_in_sync(lab, topic) == [LEADER] for topic in topics.values()), 90)
    written = {name: lab.send(topic, _records("meanwhile", MEANWHILE)) for name, topic in topics.items()}

    lab.step(
        f"Kill kafka-{LEADER}, and start kafka-{FOLLOWER} again: it has {BEFORE} of the {BEFORE + MEANWHILE} records"
    )
    lab.kill(f"kafka-{LEADER}")
    lab.restart(f"kafka-{FOLLOWER}")
    leads = lab.sees("the follower leads where it may", lambda: _leader(lab, risky) == FOLLOWER, 60)
    offline = _leader(lab, safe) < 0
    if leads:
        lab.send(risky, _records("after", AFTER))

    lab.step(f"Start kafka-{LEADER} again, and count")
    lab.restart(f"kafka-{LEADER}")
    lab.until("all replicas are in sync", lambda: all(len(_in_sync(lab, topic)) == 2 for topic in topics.values()), 90)
    lost, rows = {}, []
    for name, topic in topics.items():
        values = {(record.value or b"").decode() for record in lab.read(topic)}
        lost[name] = written[name].acknowledged - sum(value.startswith("meanwhile") for value in values)
        state = "offline" if name == "off" and offline else "written to" if name == "on" and leads else "?"
        rows.append((name, state, len(values), lost[name]))
    columns = ("unclean election", "meanwhile", "records", "lost")
    lab.table(f"two topics after the same outage: while kafka-{LEADER} was away, and at the end", columns, rows)
    lab.answer(
        lost["on"], f"with unclean election {lost['on']} acknowledged records are lost, without it {lost['off']}"
    )
    lab.holds("without it the partition waits for the replica that has everything", offline)
    lab.holds("without it nothing is lost", lost["off"] == 0, f"{lost['off']} lost")
    lab.holds("with it the partition can be written again at once", leads)
    lab.holds("with it acknowledged records are lost for good", lost["on"] == MEANWHILE, f"{lost['on']} lost")


def _records(name: str, count: int) -> list[tuple[None, str]]:
    return [(None, f"{name} {number}") for number in range(count)]


def _leader(lab: Lab, topic: str) -> int:
    return int(lab.partitions(topic)[0].leader)


def _in_sync(lab: Lab, topic: str) -> list[int]:
    return list(lab.partitions(topic)[0].isrs)


def _restore(lab: Lab) -> None:
    for instance in lab.stack.ps():
        if instance.role == "broker" and not instance.ready:
            lab.restart(instance.name)


EXPERIMENT = Experiment(
    section=Section.DEEPER,
    rows=(),
    question=(
        "The only replica that has the last 100 acknowledged records dies, and one that is behind is left. "
        "What does unclean.leader.election.enable=true do?"
    ),
    predict=Choice(
        (
            "it brings the 100 records back from the producers",
            "the partition waits until the dead replica is back",
            "the replica that is behind leads, and the 100 records are lost",
        ),
        right=2,
    ),
    steps=steps,
    why="""Only replicas in sync may lead, because they have every acknowledged record. When the last of them dies you
    choose: wait (false, the default), so the partition can be neither read nor written but nothing is lost; or
    let any replica lead (true), so that it goes on at once and forgets what this replica does not have. When
    the old leader is back it cuts off its own records, too. min.insync.replicas=2 keeps you from the choice:
    no record is acknowledged that only one replica has.""",
    wrong={"it is switched off on both topics": {"unclean": False}},
    disturbs=True,
    terms=("leader", "in-sync replica", "unclean leader election"),
)
