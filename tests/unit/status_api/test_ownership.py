"""The lanes: who owned which partition, and when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from status_api.model import UNKNOWN, Group, GroupMember, Rebalance, Snapshot
from status_api.ownership import COLOURS, KEEP, MOST_CHANGES, MOST_LANES, Ownership, owner_names
from unit.status_api.fakes import commits

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
T0 = NOON.timestamp()


def a_group(owners: dict[str, list[int]], topic: str = "t") -> Group:
    members = tuple(
        GroupMember(f"id-{name}", name, "h", assignment=tuple((topic, number) for number in numbers))
        for name, numbers in owners.items()
    )
    return Group("g", "Stable", "classic", members=members)


def at(seconds: float, *groups: Group, rebalances: tuple[Rebalance, ...] = ()) -> Snapshot:
    moment = NOON + timedelta(seconds=seconds)
    return Snapshot(f"s-{seconds}", moment, "c", 1, groups=groups, rebalances=rebalances)


def seen(*snapshots: Snapshot) -> tuple[Ownership, dict[str, Any]]:
    ownership = Ownership()
    for snapshot in snapshots:
        ownership.update(snapshot)
    return ownership, ownership.lanes(snapshots[-1], "g")


def bands(lanes: dict[str, Any]) -> dict[str, list[tuple[float, float | None, str | None]]]:
    return {
        lane["partition"]: [(b - T0, e and e - T0, owner) for b, e, owner in lane["bands"]] for lane in lanes["lanes"]
    }


def test_a_partition_that_moves_has_a_band_for_each_owner_and_for_nobody() -> None:
    _, lanes = seen(
        at(0, a_group({"a": [0, 1]})),
        at(1, a_group({"a": [0], "b": []})),
        at(3, a_group({"a": [0], "b": [1]})),
        at(9, a_group({"a": [0], "b": [1]})),
    )
    assert bands(lanes) == {"t[0]": [(0, None, "a")], "t[1]": [(0, 1, "a"), (1, 3, None), (3, None, "b")]}
    assert lanes["owners"] == [{"name": "a", "colour": 0}, {"name": "b", "colour": 1}]
    assert (lanes["since"] - T0, lanes["now"] - T0, lanes["more"]) == (0, 9, 0)


def test_what_is_not_known_for_a_while_keeps_its_band() -> None:
    stable = a_group({"a": [0]})
    unknown, failed = replace(stable, state=UNKNOWN, members=()), replace(stable, error="no", members=())
    _, lanes = seen(at(0, stable), at(1, unknown), at(2, failed), at(3, stable))
    assert bands(lanes) == {"t[0]": [(0, None, "a")]}


def test_a_member_that_comes_back_has_its_colour_again() -> None:
    one, two = a_group({"a": [0, 1]}), a_group({"a": [0], "b": [1]})
    _, lanes = seen(at(0, one), at(1, two), at(2, one), at(3, a_group({"a": [0], "c": [1]})), at(4, two))
    assert {owner["name"]: owner["colour"] for owner in lanes["owners"]} == {"a": 0, "b": 1, "c": 2}
    many = a_group({f"m{number:02}": [number] for number in range(COLOURS + 1)})
    colours = [owner["colour"] for owner in seen(at(0, many))[1]["owners"]]
    assert sorted(colours) == sorted([*range(COLOURS), 0])


def test_members_are_named_by_instance_else_client_and_told_apart_by_their_ids() -> None:
    members = (
        GroupMember("x-111111", "client", "h", "instance-1"),
        GroupMember("x-222222", "client", "h"),
        GroupMember("x-333333", "client", "h"),
        GroupMember("x-444444", "alone", "h"),
    )
    assert list(owner_names(members).values()) == ["instance-1", "client …222222", "client …333333", "alone"]


def test_a_generation_is_a_line_with_the_epoch_or_the_number_of_the_rebalance() -> None:
    began, ended = NOON + timedelta(seconds=1), NOON + timedelta(seconds=2)
    known = Rebalance(7, "g", began, ended, epoch=12)
    running = Rebalance(8, "g", NOON + timedelta(seconds=4))
    other = Rebalance(9, "other", began, ended)
    ownership = Ownership()
    for second in (0, 5):
        snapshot = at(second, a_group({"a": [0]}), rebalances=(other, running, known))
        ownership.update(snapshot)
    assert [(moment - T0, label) for moment, label in ownership.lanes(snapshot, "g")["lines"]] == [
        (2.0, "epoch 12"),
        (4.0, "#8"),
    ]


def test_only_an_hour_and_a_bounded_number_is_kept() -> None:
    one, two = a_group({"a": [0]}), a_group({"b": [0]})
    ownership, _ = seen(*(at(second, one if second % 2 else two) for second in range(MOST_CHANGES + 10)))
    assert len(ownership._groups["g"].changes) <= KEEP.total_seconds() + 1 <= MOST_CHANGES
    ownership.update(late := at(MOST_CHANGES + KEEP.total_seconds() + 60, two))
    ownership.update(late)
    assert len(ownership._groups["g"].changes) <= 1
    ownership.update(at(99_999))
    assert ownership._groups == {}


def test_internal_topics_have_no_lane_and_of_many_partitions_the_first_have() -> None:
    _, lanes = seen(at(0, a_group({"a": [0]}, "changelog__x")))
    assert lanes["lanes"] == []
    _, lanes = seen(at(0, a_group({"a": list(range(MOST_LANES + 5))})))
    assert (len(lanes["lanes"]), lanes["more"]) == (MOST_LANES, 5)


def test_a_committed_partition_that_nobody_owns_has_a_lane() -> None:
    _, lanes = seen(at(0, replace(a_group({}), partitions=commits({("t", 4): 1}))))
    assert bands(lanes) == {"t[4]": [(0, None, None)]}


def test_the_groups_that_rebalanced_last_are_offered_first() -> None:
    groups = [replace(a_group({"a": [0]}), id=name) for name in ("p", "q", "r")]
    ownership = Ownership()
    events = (Rebalance(2, "q", NOON), Rebalance(1, "r", NOON))
    ownership.update(snapshot := at(0, *groups, Group("empty", "Empty"), rebalances=events))
    assert ownership.choices(snapshot) == ["q", "r", "p"]
