"""What is wrong with a group, and when: the same traces are judged by Burrow's rules beside ours."""

from collections import deque
from dataclasses import replace

from status_api.marks import (
    AT_RISK,
    DATA_LOSS,
    FALLING_BEHIND,
    NEVER_COMMITTED,
    NOT_KNOWN,
    OK,
    REBALANCING,
    STOPPED,
    UNOWNED,
    Tail,
    TimeLag,
)
from status_api.model import Group, GroupMember, GroupPartition
from status_api.progress import Place, Progress
from status_api.status import REBALANCING_SECONDS, UNCOMMITTED_SECONDS, UNOWNED_SECONDS, WINDOW, Judge, falling_behind
from unit.status_api.burrow import Burrow
from unit.status_api.fakes import Clock

MEMBER = GroupMember("m", "m", "h")


class Trial:
    """One group on one partition, judged each second by both."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.progress, self.judge, self.burrow = Progress(self.clock), Judge(self.clock), Burrow()
        self.state = "Stable"
        self.group = Group("g")
        self.committed = 0
        self.known = False
        """Whether the partition has a commit."""

    def second(self, end: int, commit: int | None = None) -> tuple[str, str]:
        """Let a second pass, with a commit or without; return our status and Burrow's."""
        self.clock.now += 1
        if commit is not None:
            self.committed, self.known = commit, True
        self.burrow.see(commit, end, self.clock.now)
        known = self.committed if self.known else None
        row = GroupPartition("t", 0, known, 0, end, "m", time_lag=TimeLag(20.0, "record", 0.0))
        place: Place = ("t", 0, self.committed)
        tails = {place: Tail(True, self.committed + 1)} if self.committed < end else {}
        group = Group("g", self.state, members=(MEMBER,), partitions=(row,))
        (self.group,) = self.judge.update(self.progress.update([group], tails), {})
        return self.group.status, self.burrow.status(self.clock.now)

    def commit_each(self, seconds: int, until: int) -> tuple[set[str], set[str]]:
        """Ten records come each second; the consumer commits at times all but 2,000. Return what was said."""
        said = [
            self.second(5000 + now * 10, 3000 + now * 10 if now % seconds == 0 else None) for now in range(1, until + 1)
        ]
        return {ours for ours, _ in said}, {burrows for _, burrows in said}

    def seconds_until_found(self, end: int) -> tuple[int, int]:
        """The consumer is dead: after how many seconds each says so."""
        ours = burrows = 0
        for second in range(1, 1000):
            one, two = self.second(end + 10 * second)
            ours = ours or (second if one == STOPPED else 0)
            burrows = burrows or (second if two in {"STOP", "STALL"} else 0)
            if ours and burrows:
                break
        return ours, burrows


def test_a_fresh_consumer_with_much_to_read_is_fine() -> None:
    trial = Trial()
    assert trial.second(100_000, 10) == (OK, "STALL")
    said = [trial.second(100_000, commit) for commit in (None, None, 500, None, None)]
    assert {ours for ours, _ in said} == {OK}
    assert "STOP" in {burrows for _, burrows in said}, "Burrow has no gap yet to compare with"


def test_a_consumer_that_commits_seldom_is_fine() -> None:
    ours, burrows = Trial().commit_each(60, 900)
    assert ours == {OK}
    assert "STOP" in burrows


def test_a_consumer_that_commits_seldom_is_fine_although_records_come_seldom() -> None:
    trial = Trial()
    arrivals = [*range(57, 600, 60), 661]  # all just before a commit, and the last one just after
    for now in range(1, 721):
        end = sum(arrival <= now for arrival in arrivals)
        commit = end if now % 60 == 0 and end > trial.committed else None
        assert trial.second(end, commit)[0] == OK, now
    assert trial.committed == len(arrivals)


def test_a_dead_consumer_is_found_after_three_gaps_or_fifteen_seconds() -> None:
    for gap, ours, burrows in ((1, 15, 10), (5, 15, 46), (60, 180, 541)):
        trial = Trial()
        trial.commit_each(gap, 15 * gap)
        assert trial.seconds_until_found(5000 + 150 * gap) == (ours, burrows), gap


def test_a_consumer_that_rebalances_is_not_judged_by_its_commits() -> None:
    trial = Trial()
    trial.commit_each(1, 30)
    trial.state = "PreparingRebalance"
    said = [trial.second(5300 + now * 10) for now in range(45)]
    assert {ours for ours, _ in said} == {REBALANCING}
    assert said[-1][1] == "STOP"
    assert trial.group.trouble == (), "a rebalance is no trouble unless it lasts"
    for _ in range(int(REBALANCING_SECONDS)):
        trial.second(6000)
    assert list(trial.group.trouble) == ["The group has rebalanced for 104 s."]


def test_a_lag_that_grows_is_found_although_it_dips_once() -> None:
    trial, lag = Trial(), 100
    for now in range(1, 106):
        lag += -1 if now == 100 else 10
        ours, burrows = trial.second(now * 100, now * 100 - lag)
    assert burrows == "OK", "one dip within the window is enough"
    assert (ours, len(trial.group.trouble)) == (FALLING_BEHIND, 1)
    assert trial.group.trouble[0].startswith("The lag grows by 9.")


def test_batches_and_a_burst_are_no_falling_behind() -> None:
    def lags(*values: int) -> deque[tuple[float, int]]:
        return deque((5.0 * number, value) for number, value in enumerate(values))

    assert falling_behind(lags(*range(10, 10 + 10 * WINDOW, 10))) is not None
    assert falling_behind(lags(*([10, 90, 50, 20] * 3))) is None
    assert falling_behind(lags(*[5] * 6, *[900, 800, 700, 600, 500, 400])) is None, "it is catching up"
    assert falling_behind(lags(*[0] * 6, *range(10, 70, 10))) is None, "it had read everything"
    assert falling_behind(lags(10, 20, 30)) is None


def judged(
    rows: list[GroupPartition], seconds: float, later: list[GroupPartition] | None = None, **kept: float
) -> Group:
    """Return the group after so many seconds with these rows, and then the later ones."""
    clock = Clock()
    judge = Judge(clock)
    group = Group("g", "Stable", members=(MEMBER,), partitions=tuple(rows))
    judge.update([group], kept)
    if later is not None:
        clock.now += 1
        judge.update([replace(group, partitions=tuple(later))], kept)
    clock.now += seconds
    (result,) = judge.update([replace(group, partitions=tuple(later or rows))], kept)
    return result


def test_a_partition_without_an_owner() -> None:
    rows = [GroupPartition("t", 0, 9, 0, 9, "m"), GroupPartition("t", 1, 5, 0, 9)]
    assert judged(rows, UNOWNED_SECONDS - 1).status == OK
    group = judged(rows, UNOWNED_SECONDS)
    assert (group.status, list(group.trouble)) == (
        UNOWNED,
        ["No owner for 15 s although the group owns other partitions of the topic: 1 partition, first t[1]."],
    )
    assert judged([GroupPartition("t", 0, 9, 0, 9, "m"), GroupPartition("old", 0, 5, 0, 9)], 600).status == OK, (
        "the group no longer reads that topic"
    )
    assert judged([rows[0], GroupPartition("t", 1, 9, 0, 9)], 600).status == OK, "no record waits there"


def test_an_owner_that_never_commits() -> None:
    before, after = [GroupPartition("t", 0, None, 0, 9, "m")], [GroupPartition("t", 0, None, 0, 10, "m")]
    assert judged(before, 600).status == OK, "no record has come since the group was seen first"
    assert judged(before, UNCOMMITTED_SECONDS - 1, after).status == OK
    group = judged(before, UNCOMMITTED_SECONDS, after)
    assert (group.status, group.trouble[0][:16]) == (NEVER_COMMITTED, "No commit ever, ")


def test_records_that_were_deleted_before_they_were_read() -> None:
    group = judged([GroupPartition("t", 0, 5, 8, 9, "m"), GroupPartition("t", 1, 2, 8, 9, "m")], 0)
    assert (group.status, list(group.trouble)) == (
        DATA_LOSS,
        ["Up to 6 records were deleted before the group read them: 2 partitions, first t[0]."],
    )


def test_records_that_are_about_to_be_deleted() -> None:
    rows = [GroupPartition("t", 0, 5, 0, 9, "m", time_lag=TimeLag(80.0, "record", 0.0))]
    assert judged(rows, 0, t=101.0).status == OK
    group = judged(rows, 0, t=100.0)
    assert (group.status, group.partitions[0].finding and group.partitions[0].finding.limit) == (AT_RISK, 0.8)
    assert "80 s, 80% of the retention of 100 s" in group.trouble[0]
    assert judged(rows, 0).status == OK, "the topic keeps its records for ever"


def test_what_is_not_known_is_not_judged() -> None:
    assert Group("g").status == NOT_KNOWN
    silent = Group("g", "Unknown", partitions=(GroupPartition("t", 0, 5, 8, 9),))
    assert Judge(Clock()).update([silent], {})[0].status == NOT_KNOWN
