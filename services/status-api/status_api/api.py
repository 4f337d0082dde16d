"""The JSON API. Every answer comes from the last snapshot; no request asks Kafka."""

from __future__ import annotations

from importlib import resources
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, request

from status_api.bodies import (
    MOST_ROWS,
    MOST_WORDS,
    broker_json,
    connectors_json,
    group_json,
    history,
    iso,
    joins_json,
    lag_json,
    lag_row_json,
    member_json,
    partition_json,
    pipeline_json,
    rebalance_json,
    row_json,
    schemas_json,
    services_json,
    topic_json,
    words_json,
)
from status_api.paging import Listing
from status_api.requests import flag, number
from status_api.responses import answer, cluster_figures, json_line, latest_snapshot, rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from status_api.model import Group, Snapshot, TopicState
    from status_api.paging import Item
    from status_api.store import LatestSnapshot

MOST_REBALANCES = 500
"""How many rebalances one answer may have."""

TOPICS: Listing[TopicState] = Listing(
    "name",
    {name: attrgetter(name) for name in ("name", "records", "produced")}
    | {
        "partition_count": lambda topic: len(topic.partitions),
        "produced_per_second": lambda topic: history().produce_rate(topic.name),
    },
)
GROUPS: Listing[Group] = Listing(
    "id",
    {name: attrgetter(name) for name in ("id", "state", "lag")}
    | {
        "member_count": lambda group: len(group.members),
        "committed_per_second": lambda group: history().commit_rate(group.id),
        "time_lag": lambda group: group.time_lag and group.time_lag.seconds,
    },
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
    return _list("topics", TOPICS, lambda snapshot: snapshot.topics, topic_json)


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

    def chosen(snapshot: Snapshot) -> list[Group]:
        return [group for group in snapshot.groups if not state or group.state in state]

    return _list("groups", GROUPS, chosen, group_json)


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


@blueprint.get("/schemas")
def schemas() -> Response:
    """Answer with the subjects of the schema registry."""
    return _answer(schemas_json)


@blueprint.get("/connectors")
def connectors() -> Response:
    """Answer with the connectors of Kafka Connect and their tasks."""
    return _answer(connectors_json)


@blueprint.get("/services")
def services() -> Response:
    """Answer with the replicas of the services, and what those wait for that are not ready."""
    return _answer(services_json)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answer with the description of this API."""
    text = resources.files("status_api").joinpath("openapi.json").read_bytes()
    return Response(text, content_type="application/json")


def _list(
    name: str,
    listing: Listing[Item],
    items: Callable[[Snapshot], Iterable[Item]],
    as_json: Callable[[Item], dict[str, Any]],
) -> Response:
    def render(snapshot: Snapshot) -> dict[str, Any]:
        page, more = listing.page(items(snapshot))
        return {name: [as_json(item) for item in page], "next_cursor": more}

    # Texts that a client makes up would fill the memory with bodies, so only lists without them are kept.
    made_up = request.args.keys() & {"q", "cursor", "state", "sort"}
    return _answer(render, key=None if made_up else tuple(request.args.getlist("limit")))


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
