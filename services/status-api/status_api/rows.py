"""Joins the groups that the coordinators tell with the offsets that the leaders tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from status_api.model import Group, GroupPartition, Key, Partition, TopicState, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from status_api.timelag import TimeLags


def by_key(topics: Iterable[TopicState]) -> dict[Key, Partition]:
    """Index all partitions of the topics, once for each snapshot, so that a group's row is one look-up."""
    return {(topic.name, partition.number): partition for topic in topics for partition in topic.partitions}


def with_offsets(group: Group, partitions: dict[Key, Partition], time_lags: TimeLags | None = None) -> Group:
    """Return a group with a row for every committed and every assigned partition, and with the partition's offsets.

    The group that is passed has a row for each of its commits, and for each that the coordinator refused to tell.
    """
    committed = {(row.topic, row.partition): row.committed for row in group.partitions}
    refusals = {(row.topic, row.partition): row.error for row in group.partitions if row.commit_unknown}
    owners = {key: member.id for member in group.members for key in member.assignment}
    rows = []
    for topic, number in sorted(committed.keys() | owners.keys()):
        partition = partitions.get((topic, number))
        row = GroupPartition(
            topic=topic,
            partition=number,
            committed=committed.get((topic, number)),
            low=partition.low if partition else None,
            end=partition.end if partition else None,
            member_id=owners.get((topic, number)),
            error=partition.error if partition else "the topic or partition no longer exists",
            known_at=partition.known_at if partition else None,
            gone=partition is None,
            time_lag=time_lags.of((topic, number), committed.get((topic, number)), partition) if time_lags else None,
        )
        if (topic, number) in refusals:
            row = replace(row, error=one_line(refusals[topic, number], row.error), commit_unknown=True)
        if row.committed is not None and row.end is not None and row.committed > row.end and row.known_at is None:
            row = replace(row, error=f"the commit is beyond the end {row.end}: the topic was recreated or truncated")
        rows.append(row)
    return replace(group, partitions=tuple(rows))
