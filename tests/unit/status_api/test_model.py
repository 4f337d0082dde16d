from dataclasses import replace
from typing import Any

from typing_extensions import override

from status_api.model import Group, GroupMember, GroupPartition, Partition, TopicState
from status_api.pipeline import pipeline
from status_api.rows import by_key, with_offsets
from status_api.settings import StatusSettings
from unit.status_api.fakes import a_snapshot, a_topic, commits


def test_lag_is_end_less_commit() -> None:
    assert GroupPartition("t", 0, committed=4, end=10).lag == 6
    assert GroupPartition("t", 0, committed=10, end=10).lag == 0


def test_records_that_retention_took_are_no_lag() -> None:
    assert GroupPartition("t", 0, committed=4, low=7, end=10).lag == 3
    assert GroupPartition("t", 0, committed=8, low=7, end=10).lag == 2


def test_lag_is_unknown_not_zero_without_commit_or_end() -> None:
    assert GroupPartition("t", 0, committed=None, end=10).lag is None
    assert GroupPartition("t", 0, committed=4, end=None).lag is None


def test_a_commit_beyond_the_end_has_no_lag_but_an_error() -> None:
    (row,) = with_offsets(Group("g", partitions=commits({("t", 0): 11})), by_key([a_topic("t", [5])])).partitions
    assert row.lag is None
    assert row.error is not None
    assert "beyond the end 5" in row.error


def test_rows_are_the_committed_and_assigned_partitions_with_their_owners() -> None:
    member = GroupMember("m", "client", "host", assignment=(("t", 1),))
    group = Group("g", members=(member,), partitions=commits({("t", 0): 3}))
    rows = with_offsets(group, by_key([a_topic("t", [5, 6])])).partitions
    assert [(row.partition, row.committed, row.end, row.lag, row.member_id) for row in rows] == [
        (0, 3, 5, 2, None),
        (1, None, 6, None, "m"),
    ]


def test_a_row_costs_the_same_however_many_partitions_a_topic_has() -> None:
    lookups: list[int] = []

    class Watched(Partition):
        @override
        def __getattribute__(self, name: str) -> Any:
            if name == "number":
                lookups.append(1)
            return super().__getattribute__(name)

    partitions = by_key([TopicState("t", tuple(Watched(i, 1, (1,), (1,), 0, 9) for i in range(100)))])
    rows = with_offsets(Group("g", partitions=commits({("t", i): i % 9 for i in range(100)})), partitions).partitions
    assert [row.end for row in rows] == [9] * 100
    assert len(lookups) == 100


def test_a_row_of_a_deleted_topic_has_an_error() -> None:
    (row,) = with_offsets(Group("g", partitions=commits({("gone", 0): 3})), {}).partitions
    assert row.lag is None
    assert row.error == "the topic or partition no longer exists"


def test_the_sum_of_a_groups_lags() -> None:
    group = a_snapshot().group("avro-consumer")
    assert group is not None
    assert group.lag == 2 + 0 + 8, "what was never committed is not counted"
    forbidden = a_snapshot().group("forbidden")
    assert forbidden is not None
    assert forbidden.lag is None


def test_a_sum_is_not_known_if_a_part_of_it_is_not_known() -> None:
    known = GroupPartition("t", 0, committed=5, end=7)
    never, gone = GroupPartition("t", 1, end=9), GroupPartition("u", 0, committed=3, error="deleted", gone=True)
    assert Group("g", partitions=(known, never, gone)).lag == 2
    without_end = GroupPartition("t", 2, committed=5, error="the leader did not answer")
    refused = GroupPartition("t", 3, end=9, error="NOT_COORDINATOR", commit_unknown=True)
    assert Group("g", partitions=(known, without_end)).lag is None
    assert Group("g", partitions=(known, without_end)).committed == 10
    assert Group("g", partitions=(known, refused)).lag is None
    assert Group("g", partitions=(known, refused)).committed is None
    assert (Group("g", partitions=(never, gone)).lag, Group("g").lag) == (None, None)


def test_a_topic_counts_partitions_out_of_sync_and_below_the_minimum() -> None:
    assert (a_topic("t", [1, 1], in_sync=(1, 2)).under_replicated, a_topic("t", [1], (1, 2)).under_min_in_sync) == (
        2,
        0,
    )
    assert a_topic("t", [1, 1], in_sync=(1,)).under_min_in_sync == 2


def test_the_registrys_own_groups_are_internal() -> None:
    snapshot = a_snapshot()
    groups = (*snapshot.groups, replace(snapshot.groups[0], id="apicurio-registry-1f0c"))
    snapshot = replace(snapshot, groups=groups)
    assert snapshot.visible(internal=False).group("apicurio-registry-1f0c") is None
    assert snapshot.visible(internal=False).group(groups[0].id) is not None
    assert snapshot.visible(internal=True).group("apicurio-registry-1f0c") is not None


def test_internal_topics_are_hidden_also_in_groups() -> None:
    snapshot = a_snapshot().visible(internal=False)
    assert "__consumer_offsets" not in {topic.name for topic in snapshot.topics}
    assert {row.topic for group in snapshot.groups for row in group.partitions} == {"news", "mytopic"}
    assert a_snapshot().visible(internal=True).topic("__consumer_offsets") is not None


def test_pipeline_figures() -> None:
    figures = pipeline(a_snapshot().visible(internal=False), StatusSettings())
    assert figures.produced_total == 123 + 42
    assert figures.dead_letters == 2
    consumer = figures.stages["consumer"]
    assert (consumer.consumed, consumer.lag, consumer.members) == (12, 2, 1)
    assert figures.stages["connector"].consumed == 90
    assert (figures.stages["wordcount"].state, figures.stages["wordcount"].consumed) == ("Absent", None)
