"""When a commit that does not move is trouble."""

from dataclasses import replace

from status_api.marks import Tail
from status_api.model import Group, GroupMember, GroupPartition
from status_api.progress import FRESH_SECONDS, LOOK_SECONDS, STALL_SECONDS, Progress
from unit.status_api.fakes import Clock

MEMBER = GroupMember("m", "m", "h")


class Watched:
    """One group on one partition, second by second."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.progress = Progress(self.clock)
        self.tails: dict[tuple[str, int, int], Tail] = {}
        self.group = Group("g", "Stable", "classic", members=(MEMBER,))

    def see(self, committed: int, end: int, seconds: float = 1.0) -> GroupPartition:
        self.clock.now += seconds
        group = replace(self.group, partitions=(GroupPartition("t", 0, committed, 0, end),))
        (self.group,) = self.progress.update([group], self.tails)
        return self.group.partitions[0]

    def commit_each(self, seconds: float, times: int = 4) -> int:
        for number in range(times):
            self.see(number, number + 100, seconds)
        return times - 1


def test_a_consumer_that_stops_is_trouble_after_fifteen_seconds_and_three_gaps() -> None:
    for gap, limit in ((1.0, STALL_SECONDS), (10.0, 30.0)):
        watched = Watched()
        last = watched.commit_each(gap)
        watched.tails = {("t", 0, last): Tail(waits=True, end=last + 1)}
        assert watched.see(last, 200, limit - 1).stalled_seconds is None
        assert not watched.group.trouble
        assert watched.see(last, 200, 1).stalled_seconds == limit
        assert list(watched.group.trouble) == [
            f"No commit for {limit:.0f} s although records wait: 1 partition, first t[0].",
        ]
        assert watched.see(last + 1, 200).stalled_seconds is None


def test_a_fresh_consumer_is_given_a_minute() -> None:
    watched = Watched()
    watched.see(5, 100)
    watched.tails = {("t", 0, 5): Tail(waits=True, end=6)}
    assert watched.see(5, 100, FRESH_SECONDS - 1).stalled_seconds is None
    assert watched.see(5, 100, 1).stalled_seconds == FRESH_SECONDS


def test_a_stream_that_has_read_all_records_is_not_behind_for_its_markers() -> None:
    watched = Watched()
    last = watched.commit_each(1.0)
    end = last + 1
    watched.see(last, end, LOOK_SECONDS)
    assert watched.progress.wanted == {("t", 0, last)}
    watched.tails = {("t", 0, last): Tail(waits=False, end=end)}
    row = watched.see(last, end, 600)
    assert (row.only_markers, row.stalled_seconds, row.lag) == (True, None, 1)
    assert (watched.group.caught_up, watched.progress.wanted) == (True, set())
    watched.see(last, end + 1)
    assert watched.progress.wanted == {("t", 0, last)}, "the log has grown, so it is looked at again"


def test_a_rebalance_and_a_partition_without_records_begin_the_wait_anew() -> None:
    watched = Watched()
    last = watched.commit_each(1.0)
    watched.tails = {("t", 0, last): Tail(waits=True, end=last + 1)}
    watched.group = replace(watched.group, state="PreparingRebalance")
    watched.see(last, 200, 600)
    watched.group = replace(watched.group, state="Stable")
    assert watched.see(last, 200).stalled_seconds is None
    watched.see(last, last, 600)
    assert watched.see(last, last + 1).stalled_seconds is None


def test_a_group_without_members_says_so() -> None:
    watched = Watched()
    last = watched.commit_each(1.0)
    watched.tails = {("t", 0, last): Tail(waits=True, end=last + 1)}
    watched.group = replace(watched.group, state="Empty", members=())
    watched.see(last, 200, 20)
    assert watched.group.trouble[0].startswith("The group has no member. No commit for 20 s although records wait")
