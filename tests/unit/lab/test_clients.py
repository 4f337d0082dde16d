"""The clients of an experiment's own, with a mock cluster."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from newsroom_lab.experiments.protocols import _cut, _gap
from newsroom_lab.experiments.share_group import _changes
from newsroom_lab.rebalancing import PROTOCOLS, Members, members
from newsroom_lab.sending import send, visible
from support.cluster import PARTITIONS, MockCluster
from support.waiting import wait_for

SECONDS = 40.0


def test_a_sending_counts_its_requests_and_a_reader_gets_every_value(cluster: MockCluster) -> None:
    values = [f"value {number}" for number in range(10)]
    wait = {"linger.ms": 2000, "sticky.partitioning.linger.ms": 5000}
    together = send(cluster.address, "t", ((None, value) for value in values), 0, wait)
    assert (together.sent, together.acknowledged, together.errors) == (10, 10, ())
    one_by_one = send(cluster.address, "t", (("k", value) for value in values), 0.01, {"linger.ms": 0})
    # It is one request, and on a busy machine sometimes two.
    assert together.requests < 5 <= one_by_one.requests
    read = visible(cluster.address, "t", range(PARTITIONS), "read_uncommitted")
    assert sorted(read) == sorted(value.encode() for value in values * 2)


def sizes(crowd: Members, wanted: list[int]) -> bool:
    return crowd.sizes() == wanted


@pytest.mark.parametrize("protocol", ["eager", "cooperative"])
def test_members_share_partitions_and_remember_who_owned_which(cluster: MockCluster, protocol: str) -> None:
    send(cluster.address, protocol, [(None, "x")], 0, {})
    with members(cluster.address, protocol, f"group-{protocol}", protocol) as crowd:
        crowd.add()
        wait_for("one owns all", partial(sizes, crowd, [PARTITIONS]), SECONDS)
        crowd.add(work=0.1)
        wait_for("two share them", partial(sizes, crowd, [2, 2]), SECONDS)
        assert set.union(*crowd.owned()) == set(range(PARTITIONS))
        assert min(crowd.polls()) > 0
    lanes = crowd.lanes(PARTITIONS)
    owners = [[owner for _, _, owner in spans] for spans in lanes.values()]
    assert sorted(names[-1] for names in owners) == ["member 1", "member 1", "member 2", "member 2"]
    # Only the eager protocol takes away what stays with its owner.
    kept = [names for names in owners if set(names) == {"member 1"}]
    assert [len(names) > 1 for names in kept] == [protocol == "eager"] * 2
    assert PROTOCOLS.keys() == {"eager", "cooperative", "KIP-848"}


def test_a_gap_is_the_time_without_an_owner() -> None:
    spans = [(0.0, 4.0, "member 1"), (6.5, 9.0, "member 2")]
    assert _gap(spans, 2, 8) == 2.5
    assert _gap(spans, 2, 3) == 0
    assert _cut({3: spans}, 3, 8) == {"partition 3": [(0, 1.0, "member 1"), (3.5, 5, "member 2")]}


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [((0, 1, 2), (), 0), ((0, 1), (2, 3), 1), ((0, 2, 10), (1, 9), 4)],
)
def test_members_that_share_records_take_turns_and_those_that_hand_over_do_not(
    first: tuple[int, ...], second: tuple[int, ...], changes: int
) -> None:
    members: Any = tuple(
        SimpleNamespace(lines=lambda _, numbers=numbers: [f"record {number}" for number in numbers])
        for numbers in (first, second)
    )
    assert _changes(members) == changes
