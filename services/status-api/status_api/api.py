"""The JSON API. Every answer comes from the last snapshot; no request asks Kafka."""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, current_app, request

from status_api.model import longest
from status_api.paging import Listing
from status_api.rebalances import seconds_of
from status_api.requests import flag, number
from status_api.responses import answer, cluster_figures, json_line, latest_snapshot, pipeline_figures, rendered
from status_api.sums import sum_of_lags

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from status_api.history import History
    from status_api.model import (
        Broker,
        Group,
        GroupMember,
        GroupPartition,
        Partition,
        Rebalance,
        Snapshot,
        Tables,
        TimeLag,
        TopicState,
    )
    from status_api.store import LatestSnapshot

MOST_REBALANCES = 500
"""How many rebalances one answer may have."""

MOST_WORDS = 20
"""How many of the top words an answer has."""

MOST_ROWS = 500
"""How many words or joined records one answer may have."""

TOPICS = Listing(
    "name",
    {name: itemgetter(name) for name in ("name", "partition_count", "records", "produced", "produced_per_second")},
)
GROUPS = Listing(
    "id",
    {name: itemgetter(name) for name in ("id", "state", "member_count", "lag", "committed_per_second")}
    | {"time_lag": lambda group: group["time_lag"] and group["time_lag"]["seconds"]},
)
"""What the lists can be sorted by."""

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


@blueprint.get("/cluster")
def cluster() -> Response:
    """Answer with the sums over the whole cluster."""
    return _answer(cluster_figures)


@blueprint.get("/brokers")
def brokers() -> Response:
    """Answer with the brokers, those that are gone too."""
    return _answer(lambda snapshot: {"brokers": [broker_json(broker) for broker in snapshot.brokers]})


@blueprint.get("/topics")
def topics() -> Response:
    """Answer with all topics, without their partitions: those that `q` names, sorted, a page at a time."""
    return _list("topics", lambda snapshot: [topic_json(topic) for topic in snapshot.topics], TOPICS)


@blueprint.get("/topics/<name>")
def topic(name: str) -> Response:
    """Answer with one topic and its partitions."""

    def render(snapshot: Snapshot) -> dict[str, Any]:
        topic = snapshot.topic(name)
        if topic is None:
            abort(404, f"There is no topic {name!r}.")
        return topic_json(topic) | {
            "configuration": dict(topic.configuration),
            "partitions": [partition_json(partition) for partition in topic.partitions],
        }

    return _answer(render, internal=True)


@blueprint.get("/groups")
def groups() -> Response:
    """Answer with all groups, without their partitions: those of a `state` and that `q` names, a page at a time."""
    state = request.args.getlist("state")
    return _list(
        "groups",
        lambda snapshot: [group_json(group) for group in snapshot.groups if not state or group.state in state],
        GROUPS,
    )


@blueprint.get("/groups/<any_id:group_id>")
def group(group_id: str) -> Response:
    """Answer with one group, its members and its position in each partition."""

    def render(snapshot: Snapshot) -> dict[str, Any]:
        group = _known_group(snapshot, group_id)
        partitions = [row_json(row) for row in group.partitions]
        return group_json(group) | {
            "members": [member_json(member, group) for member in group.members],
            "partitions": partitions,
        }

    return _answer(render)


def _known_group(snapshot: Snapshot, group_id: str) -> Group:
    group = snapshot.group(group_id)
    if group is None and snapshot.unlisted:
        abort(503, f"Whether there is a group {group_id!r} is not known now: {snapshot.unlisted}")
    if group is None:
        abort(404, f"There is no group {group_id!r}.")
    return group


@blueprint.get("/groups/<any_id:group_id>/lag")
def group_lag(group_id: str) -> Response:
    """Answer with how far one group is behind, in all and in each partition."""
    if _is_of_the_id("lag"):
        return group(f"{group_id}/lag")

    def render(snapshot: Snapshot) -> dict[str, Any]:
        group = _known_group(snapshot, group_id)
        return lag_json(group) | {"id": group.id, "partitions": [lag_row_json(row) for row in group.partitions]}

    return _answer(render)


def _is_of_the_id(end: str) -> bool:
    """Whether the last slash of the path is escaped, so that it is a part of the group's id."""
    path: str = request.environ.get("RAW_URI", "")
    return path.partition("?")[0].lower().endswith(f"%2f{end}")


@blueprint.get("/rebalances")
def rebalances() -> Response:
    """Answer with the rebalances of all groups, newest first."""
    return _rebalances(None)


@blueprint.get("/groups/<any_id:group_id>/rebalances")
def group_rebalances(group_id: str) -> Response:
    """Answer with the rebalances of one group, newest first."""
    if _is_of_the_id("rebalances"):
        return group(f"{group_id}/rebalances")
    return _rebalances(group_id)


def _rebalances(group_id: str | None) -> Response:
    limit, before = number("limit", 100, MOST_REBALANCES), number("before", 0, 2**63)

    def render(snapshot: Snapshot) -> dict[str, Any]:
        chosen = [
            event
            for event in snapshot.rebalances
            if group_id in (None, event.group) and (before == 0 or event.number < before)
        ]
        more = chosen[limit - 1].number if len(chosen) > limit else None
        return {"rebalances": [rebalance_json(event) for event in chosen[:limit]], "next_before": more}

    return _answer(render, key=(limit, before))


@blueprint.get("/pipeline")
def pipeline() -> Response:
    """Answer with the live figures of the pipeline."""
    return _answer(pipeline_json)


@blueprint.get("/words")
def words() -> Response:
    """Answer with the words that were counted most often."""
    limit = number("limit", MOST_WORDS, MOST_ROWS)
    return _answer(lambda snapshot: words_json(snapshot.tables, limit), key=(limit,))


@blueprint.get("/joins")
def joins() -> Response:
    """Answer with the latest joined records, newest first."""
    limit = number("limit", MOST_WORDS, MOST_ROWS)
    return _answer(lambda snapshot: joins_json(snapshot.tables, limit), key=(limit,))


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answer with the description of this API."""
    text = resources.files("status_api").joinpath("openapi.json").read_bytes()
    return Response(text, content_type="application/json")


def _list(name: str, items: Callable[[Snapshot], list[dict[str, Any]]], listing: Listing) -> Response:
    def render(snapshot: Snapshot) -> dict[str, Any]:
        page, more = listing.page(items(snapshot))
        return {name: page, "next_cursor": more}

    # Texts that a client makes up would fill the memory with bodies, so only lists without them are kept.
    made_up = request.args.keys() & {"q", "cursor", "state", "sort"}
    return _answer(render, key=None if made_up else (request.args.get("limit", ""),))


def _answer(
    render: Callable[[Snapshot], dict[str, Any]], *, internal: bool = False, key: tuple[object, ...] | None = ()
) -> Response:
    latest, snapshot = known_snapshot()
    internal = flag("internal") or internal

    def rest_of_body() -> bytes:
        return json_line(render(snapshot.visible(internal=internal)))

    def body() -> bytes:
        rest = rest_of_body() if key is None else rendered(snapshot, (request.path, internal, *key), rest_of_body)
        # Only the envelope differs between two requests for one snapshot, by its age.
        return json_line(envelope(latest, snapshot)).rstrip(b"}\n") + b", " + rest[1:]

    return answer(latest, "application/json", body)


def known_snapshot() -> tuple[LatestSnapshot, Snapshot]:
    """Return the newest snapshot.

    Raises:
        ServiceUnavailable: there is none yet.
    """
    latest = latest_snapshot()
    if latest.snapshot is None:
        reason = f" The last attempt failed: {latest.last_error}" if latest.last_error else ""
        abort(503, f"The service has not taken a snapshot of the cluster yet.{reason}")
    return latest, latest.snapshot


def envelope(latest: LatestSnapshot, snapshot: Snapshot) -> dict[str, Any]:
    """Return what every body says of its snapshot."""
    return {
        "snapshot_id": snapshot.id,
        "collected_at": iso(snapshot.collected_at),
        "age_seconds": round(latest.age_seconds or 0.0, 3),
        "late": latest.late,
        "stale": latest.stale,
        "error": latest.last_error or snapshot.error,
    }


def iso(moment: datetime | None) -> str | None:
    """Format a time of UTC as ISO 8601; None stays None."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def broker_json(broker: Broker) -> dict[str, Any]:
    """Return a broker."""
    return asdict(broker) | {"since": iso(broker.since)}


def topic_json(topic: TopicState) -> dict[str, Any]:
    """Return a topic without its partitions."""
    history: History = current_app.extensions["history"]
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
        "produced_per_second": history.produce_rate(topic.name),
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
        "trouble": list(group.trouble),
        "error": group.error,
        "unknown_since": iso(group.unknown_since),
    }


def lag_json(group: Group) -> dict[str, Any]:
    """Return how far a group is behind, and how fast that changes."""
    history: History = current_app.extensions["history"]
    return {
        "lag": group.lag,
        "lag_known_at": iso(group.lag_known_at),
        "time_lag": time_lag_json(group.time_lag),
        "committed_per_second": history.commit_rate(group.id),
        "lag_growth_per_second": history.lag_rate(group.id),
        "catch_up_seconds": history.catch_up_seconds(group.id),
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
