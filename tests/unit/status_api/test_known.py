"""Which groups are kept, with which values, and when they are forgotten."""

from __future__ import annotations

from status_api.known import FORGET_SECONDS, KnownGroups
from status_api.model import UNKNOWN, Group
from unit.status_api.fakes import Clock, commits

STABLE = Group("g", "Stable", "classic", coordinator=2, partitions=commits({("t", 0): 4}))


def test_a_group_that_is_known_again_has_its_own_values_again() -> None:
    known = KnownGroups()
    assert known.update([STABLE], {}, None) == [STABLE]
    (kept,) = known.update([], {2: "no connection"}, "broker 2 is silent")
    assert (kept.state, kept.partitions) == (UNKNOWN, STABLE.partitions)
    assert str(kept.error).endswith("UTC: no connection")
    (later,) = known.update([], {}, None)
    assert str(later.error).endswith("UTC: no broker lists the group now")
    assert later.unknown_since == kept.unknown_since is not None
    assert known.update([STABLE], {}, None) == [STABLE]


def test_a_group_whose_commits_are_refused_for_a_moment_keeps_its_last_ones() -> None:
    known = KnownGroups()
    moving = Group("g", "Stable", "classic", coordinator=3, error="NOT_COORDINATOR: it moves")
    assert known.update([moving], {}, None) == [moving], "nothing better is known"
    assert known.update([STABLE], {}, None) == [STABLE]
    (kept,) = known.update([moving], {}, None)
    assert (kept.state, kept.partitions) == (UNKNOWN, STABLE.partitions)
    assert str(kept.error).endswith("UTC: NOT_COORDINATOR: it moves")


def test_a_group_is_forgotten_when_all_brokers_answer_for_a_while_without_it() -> None:
    clock = Clock()
    known = KnownGroups(clock)
    known.update([STABLE], {}, None)
    assert known.update([], {}, None)
    clock.now += FORGET_SECONDS - 1
    assert known.update([], {}, "a broker is silent"), "it may be there"
    assert known.update([], {}, None)
    clock.now += FORGET_SECONDS - 1
    assert known.update([], {}, None)
    clock.now += 1
    assert known.update([], {}, None) == []
