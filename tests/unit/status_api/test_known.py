"""Which groups, brokers and offsets are kept, with which values, and when they are forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from status_api.known import FORGET_SECONDS, KnownBrokers, KnownGroups, KnownOffsets
from status_api.model import UNKNOWN, Broker, Group, Partition
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


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_a_broker_that_goes_stays_with_its_address_since_when_until_no_replica_is_placed_on_it() -> None:
    known = KnownBrokers()
    both = [Broker(1, "b1", 9092), Broker(2, "b2", 9092)]
    assert known.update(both, {1, 2}, {}, NOON) == tuple(both)
    _, gone = known.update(both[:1], {1, 2}, {}, NOON + timedelta(seconds=1))
    assert (gone.state, gone.host, gone.since) == ("gone", "b2", NOON + timedelta(seconds=1))
    _, gone = known.update(both[:1], {1, 2}, {}, NOON + timedelta(seconds=9))
    assert gone.since == NOON + timedelta(seconds=1)
    _, back = known.update(both, {1, 2}, {}, NOON + timedelta(seconds=10))
    assert (back.state, back.since) == ("alive", NOON + timedelta(seconds=10))
    assert known.update(both[:1], {1}, {}, NOON) == (both[0],)


def test_a_broker_that_is_named_and_does_not_answer_is_silent() -> None:
    known = KnownBrokers()
    broker = Broker(1, "b1", 9092)
    (silent,) = known.update([broker], {1}, {1: "no answer", 7: "unknown to the cluster"}, NOON)
    assert (silent.state, silent.error, silent.since) == ("silent", "no answer", NOON)
    (gone,) = known.update([], {1}, {}, NOON + timedelta(seconds=1))
    assert (gone.state, gone.since) == ("gone", NOON + timedelta(seconds=1))


def test_offsets_of_a_partition_without_an_answer_are_the_last_ones_and_a_deleted_topic_has_none() -> None:
    known = KnownOffsets()
    told, untold = Partition(0, 1, (1,), (1,), 2, 9), Partition(0, 1, (1,), (1,), error="silent")
    assert known.update({"t": [untold]}, NOON) == {"t": (untold,)}
    assert known.update({"t": [told]}, NOON) == {"t": (told,)}
    ((kept,),) = known.update({"t": [untold]}, NOON + timedelta(seconds=5)).values()
    assert (kept.low, kept.end, kept.known_at, kept.error) == (2, 9, NOON, "silent")
    assert known.update({}, NOON) == {}
    assert known.update({"t": [untold]}, NOON) == {"t": (untold,)}, "a topic of the same name made anew"
