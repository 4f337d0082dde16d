"""What of the groups' descriptions becomes a rebalance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from status_api.known import SILENT_SECONDS, SilentMembers
from status_api.model import UNKNOWN, Group, GroupMember, Move, RebalanceTotals
from status_api.rebalances import KEEP, MOST, RebalanceLog, seconds_of

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_group(owners: dict[str, list[int]], state: str = "Stable", epoch: int | None = None) -> Group:
    members = tuple(
        GroupMember(name, f"client-{name}", "10.0.0.1", assignment=tuple(("t", number) for number in numbers))
        for name, numbers in owners.items()
    )
    return Group("g", state, "classic", members=members, epoch=epoch)


def test_a_member_that_joins_and_the_partitions_it_gets() -> None:
    log = RebalanceLog()
    assert log.update([a_group({"a": [0, 1]})], at(0)) == ()
    (running,) = log.update([a_group({"a": [], "b": []}, "PreparingRebalance")], at(1))
    assert (running.began, running.ended, running.joined) == (at(1), None, ("b",))
    log.update([a_group({"a": [], "b": []}, "CompletingRebalance")], at(2))
    (ended,) = log.update([a_group({"a": [0], "b": [1]})], at(3))
    assert (ended.number, ended.group, ended.ended, seconds_of(ended)) == (running.number, "g", at(3), 2.0)
    assert (ended.joined, ended.left, ended.cause) == (("b",), (), "a member joined")
    assert ended.moves == (Move("t", 1, "a", "b", 2.0),)
    assert ended.members == {"a": "client-a", "b": "client-b"}
    assert log.update([a_group({"a": [0], "b": [1]})], at(4)) == (ended,)


def test_the_members_of_a_new_group_have_joined() -> None:
    log = RebalanceLog()
    assert log.update([], at(0)) == ()
    (new,) = log.update([a_group({"a": [0]})], at(1))
    assert (new.joined, new.moves, seconds_of(new)) == (("a",), (Move("t", 0, None, "a", 0.0),), 0.0)
    log.update([], at(2))
    (running, _) = log.update([a_group({"b": []}, "PreparingRebalance")], at(3))
    assert (running.joined, running.ended) == (("b",), None)


def test_a_group_that_only_could_not_be_read_before_is_not_new() -> None:
    log = RebalanceLog()
    assert log.update([], at(0), complete=False) == ()
    assert log.update([a_group({"a": [0]})], at(1)) == (), "a silent broker may have had it"
    unread = replace(a_group({}), id="unread", state=UNKNOWN)
    assert log.update([a_group({"a": [0]}), unread], at(2)) == ()
    assert log.update([a_group({"a": [0]}), replace(a_group({"b": [1]}), id="unread")], at(3)) == ()
    assert log.update([replace(a_group({}, "Empty"), id="committed")], at(4)) == ()


def test_a_rebalance_between_two_snapshots_is_seen_by_what_it_left() -> None:
    log = RebalanceLog()
    log.update([a_group({"a": [0], "b": [1]})], at(0))
    (left,) = log.update([a_group({"a": [0, 1]})], at(1))
    assert (left.left, left.cause, left.moves) == (
        ("b",),
        "a member left or fell silent",
        (Move("t", 1, "b", "a", 0.0),),
    )
    moved, _ = log.update([a_group({"a": [0, 1, 2]})], at(2))
    assert (moved.cause, moved.moves) == ("partitions came or were free", (Move("t", 2, None, "a", 0.0),))
    last, *_ = log.update([a_group({}, "Empty")], at(3))
    assert (last.left, {move.after for move in last.moves}) == (("a",), {None})


def test_an_epoch_of_the_new_protocol_that_changes_is_a_rebalance() -> None:
    log = RebalanceLog()
    log.update([a_group({"a": [0]}, epoch=4)], at(0))
    (event,) = log.update([a_group({"a": [0]}, epoch=6)], at(1))
    assert (event.epoch, event.moves) == (6, ())


def test_the_sums_of_a_group_go_on_until_it_is_gone() -> None:
    log = RebalanceLog()
    log.update([a_group({"a": [0, 1]})], at(0))
    log.update([a_group({"a": [], "b": []}, "PreparingRebalance")], at(2))
    assert log.totals == {}, "a rebalance counts when it ends"
    log.update([a_group({"a": [0], "b": [1]})], at(3))
    first = log.totals
    assert first == {"g": RebalanceTotals(1, 1, 4.0)}
    log.update([a_group({"a": [0, 1]})], at(4))
    assert log.totals == {"g": RebalanceTotals(2, 2, 4.0)}
    assert first == {"g": RebalanceTotals(1, 1, 4.0)}, "a snapshot's own sums do not change"
    log.update([], at(5))
    assert log.totals == {}


def test_what_is_not_known_for_a_while_is_no_rebalance() -> None:
    log = RebalanceLog()
    stable = a_group({"a": [0]})
    log.update([stable], at(0))
    assert log.update([replace(stable, state=UNKNOWN, members=())], at(1)) == ()
    assert log.update([replace(stable, error="NOT_COORDINATOR", members=())], at(2)) == ()
    assert log.update([stable], at(3)) == ()
    assert log.update([], at(4)) == ()


def test_a_hundred_joins_and_leaves_are_all_there() -> None:
    log = RebalanceLog()
    one, two = a_group({"a": [0, 1]}), a_group({"a": [0], "b": [1]})
    log.update([one], at(0))
    for number in range(100):
        events = log.update([two if number % 2 == 0 else one], at(number + 1))
    assert len(events) == 100
    assert [event.number for event in events] == list(range(100, 0, -1))


def test_old_rebalances_are_forgotten_by_number_and_by_age() -> None:
    log = RebalanceLog()
    one, two = a_group({"a": [0, 1]}), a_group({"a": [0], "b": [1]})
    log.update([one], at(0))
    log.update([two], at(1))
    (kept,) = log.update([two], at(1) + KEEP)
    assert kept.ended == at(1)
    assert log.update([two], at(2) + KEEP) == ()
    assert log._past.maxlen == MOST


def test_a_member_whose_epoch_trails_for_two_heartbeats_is_silent() -> None:
    watch = SilentMembers()

    def seen(seconds: float, one: int, two: int, group: int = 6) -> list[datetime | None]:
        members = tuple(GroupMember(name, name, "h", epoch=epoch) for name, epoch in (("a", one), ("b", two)))
        (result,) = watch.update([Group("g", "Reconciling", "consumer", members=members, epoch=group)], at(seconds))
        return [member.silent_since for member in result.members]

    assert seen(0, 6, 4) == [None, None]
    assert seen(SILENT_SECONDS - 1, 6, 4) == [None, None]
    assert seen(SILENT_SECONDS, 6, 4) == [None, at(0)]
    assert seen(SILENT_SECONDS + 1, 6, 5) == [None, None], "it has answered, though not to the last change"
    assert seen(SILENT_SECONDS + 2, 6, 6) == [None, None]
    classic = Group("c", "Stable", "classic", members=(GroupMember("a", "a", "h"),))
    assert watch.update([classic], at(99)) == [classic]
