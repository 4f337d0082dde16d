"""The parts of the JSON API's bodies."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask import current_app

from status_api.marks import longest
from status_api.rebalances import seconds_of
from status_api.responses import pipeline_figures
from status_api.sums import sum_of_lags

if TYPE_CHECKING:
    from datetime import datetime

    from status_api.figures import Tables
    from status_api.history import History
    from status_api.marks import TimeLag
    from status_api.model import Broker, Group, GroupMember, GroupPartition, Partition, Rebalance, Snapshot, TopicState
    from status_api.surroundings import Told

MOST_WORDS = 20
"""How many of the top words an answer has."""

MOST_ROWS = 500
"""How many words or joined records one answer may have."""


def iso(moment: datetime | None) -> str | None:
    """Format a time of UTC as ISO 8601; None stays None."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def history() -> History:
    """Return the history of the application, from which the rates come."""
    history: History = current_app.extensions["history"]
    return history


def broker_json(broker: Broker) -> dict[str, Any]:
    """Return a broker."""
    return asdict(broker) | {"since": iso(broker.since)}


def topic_json(topic: TopicState) -> dict[str, Any]:
    """Return a topic without its partitions."""
    return {
        "name": topic.name,
        "internal": topic.internal,
        "partition_count": len(topic.partitions),
        "replication_factor": topic.replication_factor,
        "min_in_sync_replicas": topic.min_in_sync,
        "under_replicated": topic.under_replicated,
        "under_min_in_sync": topic.under_min_in_sync,
        "records": topic.records,
        "produced": topic.produced,
        "produced_per_second": history().produce_rate(topic.name),
        "error": topic.error,
    }


def partition_json(partition: Partition) -> dict[str, Any]:
    """Return a partition with the values derived from it."""
    fields = asdict(partition)
    number = fields.pop("number")
    derived = {
        "under_replicated": partition.under_replicated,
        "records": partition.records,
        "known_at": iso(partition.known_at),
    }
    return {"partition": number} | fields | derived


def group_json(group: Group) -> dict[str, Any]:
    """Return a group without its members and partitions."""
    return {
        "id": group.id,
        "state": group.state,
        "protocol": group.protocol,
        "assignor": group.assignor,
        "coordinator": group.coordinator,
        "epoch": group.epoch,
        "member_count": len(group.members),
        "committed": group.committed,
        **lag_json(group),
        "status": group.status,
        "findings": findings_json(group),
        "trouble": list(group.trouble),
        "error": group.error,
        "unknown_since": iso(group.unknown_since),
    }


def findings_json(group: Group) -> list[dict[str, Any]]:
    """Return what is wrong with a group: each with its worst figures, and the number of partitions or None for all."""
    whole = [asdict(group.finding) | {"partitions": None}] if group.finding else []
    worst = (
        (max((row.finding for row in rows if row.finding), key=lambda finding: finding.value), len(rows))
        for rows in group.findings.values()
    )
    return [asdict(finding) | {"partitions": number} for finding, number in worst] + whole


def lag_json(group: Group) -> dict[str, Any]:
    """Return how far a group is behind, and how fast that changes."""
    return {
        "lag": group.lag,
        "lag_known_at": iso(group.lag_known_at),
        "time_lag": time_lag_json(group.time_lag),
        "committed_per_second": history().commit_rate(group.id),
        "lag_growth_per_second": history().lag_rate(group.id),
        "catch_up_seconds": history().catch_up_seconds(group.id),
        "caught_up": group.caught_up,
    }


def lag_row_json(row: GroupPartition) -> dict[str, Any]:
    """Return how far a group is behind in a partition."""
    return {
        "topic": row.topic,
        "partition": row.partition,
        "committed": row.committed,
        "end": row.end,
        "lag": row.lag,
        "time_lag": time_lag_json(row.time_lag),
        "only_markers": row.only_markers,
        "known_at": iso(row.known_at),
        "error": row.error,
    }


def row_json(row: GroupPartition) -> dict[str, Any]:
    """Return a group's position in a partition."""
    return asdict(row) | {"lag": row.lag, "known_at": iso(row.known_at), "only_markers": row.only_markers}


def time_lag_json(lag: TimeLag | None) -> dict[str, Any] | None:
    """Return a lag in seconds."""
    return None if lag is None else asdict(lag)


def member_json(member: GroupMember, group: Group) -> dict[str, Any]:
    """Return a member of a group, with its lag in the partitions that it has."""
    rows = [row for row in group.partitions if row.member_id == member.id]
    lags = {"lag": sum_of_lags(rows), "time_lag": time_lag_json(longest(rows))}
    return asdict(member) | {"silent_since": iso(member.silent_since)} | lags


def rebalance_json(event: Rebalance) -> dict[str, Any]:
    """Return a rebalance."""
    return asdict(event) | {"began": iso(event.began), "ended": iso(event.ended), "seconds": seconds_of(event)}


def pipeline_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the pipeline's figures with topics and groups by name, flat enough for a shell script."""
    figures, tables = pipeline_figures(snapshot), snapshot.tables
    return asdict(figures) | {
        "consumed": {group.id: group.committed for group in snapshot.groups},
        "lag": {group.id: group.lag for group in snapshot.groups},
        "connector_committed": figures.stages["connector"].consumed,
        **words_json(tables, MOST_WORDS),
        **joins_json(tables, MOST_ROWS),
    }


def told_json(told: Told[Any]) -> dict[str, Any]:
    """Return when a neighbour told what it told last, and why it does not tell now."""
    return {"known_at": iso(told.known_at), "reason": told.reason}


def schemas_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the subjects of the registry."""
    told = snapshot.surroundings.schemas
    return told_json(told) | {"schemas": [asdict(subject) for subject in told.items]}


def connectors_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the connectors with their tasks."""
    told = snapshot.surroundings.connectors
    return told_json(told) | {"connectors": [asdict(connector) for connector in told.items]}


def services_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the replicas of the services."""
    told = snapshot.surroundings.services
    return told_json(told) | {"services": [asdict(service) for service in told.items]}


def words_json(tables: Tables, limit: int) -> dict[str, Any]:
    """Return the most frequent words."""
    return {
        "words_counted": tables.words_counted,
        "distinct_words": tables.distinct_words,
        "words_complete": tables.complete,
        "top_words": [{"word": word, "count": count} for word, count in tables.top_words[:limit]],
        "tables_error": tables.error,
    }


def joins_json(tables: Tables, limit: int) -> dict[str, Any]:
    """Return the latest joined records."""
    return {
        "joined_total": tables.joined_total,
        "last_joined": [asdict(joined) for joined in tables.joined[:limit]],
        "tables_error": tables.error,
    }
