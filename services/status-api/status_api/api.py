"""The JSON API: every answer comes from the last snapshot, none asks Kafka."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, request

from status_api.pipeline import Pipeline, Roles, pipeline
from status_api.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from status_api.model import Group, Partition, Snapshot, Topic
    from status_api.store import Reading

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


def current() -> Reading:
    """The reading this request answers from."""
    reading: Reading = current_app.extensions["snapshots"].read()
    return reading


def roles() -> Roles:
    """Which groups play which part, from the settings."""
    found: Roles = current_app.extensions["roles"]
    return found


def tagged(response: Response, reading: Reading) -> Response:
    """Give a response the snapshot's ETag, and turn it into 304 when the client has it already.

    The tag is weak: the age in the body grows while the snapshot stays. It changes when the snapshot goes stale,
    so that nobody takes an old body for a fresh one.
    """
    if reading.snapshot is not None:
        response.set_etag(reading.snapshot.id + ("-stale" if reading.stale else ""), weak=True)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


@blueprint.get("/cluster")
def cluster() -> Response:
    """Sums over the whole cluster."""
    return _answer(cluster_json)


@blueprint.get("/brokers")
def brokers() -> Response:
    """The living brokers."""
    return _answer(lambda snapshot: {"brokers": [asdict(broker) for broker in snapshot.brokers]})


@blueprint.get("/topics")
def topics() -> Response:
    """All topics without their partitions."""
    return _answer(lambda snapshot: {"topics": [topic_json(topic) for topic in snapshot.topics]})


@blueprint.get("/topics/<name>")
def topic(name: str) -> Response:
    """One topic with its partitions."""

    def render(snapshot: Snapshot) -> dict[str, Any] | Response:
        found = snapshot.topic(name)
        if found is None:
            return problem(404, f"No topic is called {name!r}.")
        return topic_json(found) | {"partitions": [partition_json(item) for item in found.partitions]}

    return _answer(render, internal=True)


@blueprint.get("/groups")
def groups() -> Response:
    """All groups without their partitions."""
    return _answer(lambda snapshot: {"groups": [group_json(group) for group in snapshot.groups]})


@blueprint.get("/groups/<path:group_id>")
def group(group_id: str) -> Response:
    """One group with its members and its progress in each partition."""

    def render(snapshot: Snapshot) -> dict[str, Any] | Response:
        found = snapshot.group(group_id)
        if found is None:
            return problem(404, f"No group is called {group_id!r}.")
        partitions = [asdict(row) | {"lag": row.lag} for row in found.partitions]
        return group_json(found) | {"members": [asdict(item) for item in found.members], "partitions": partitions}

    return _answer(render)


@blueprint.get("/pipeline")
def pipeline_figures() -> Response:
    """The live figures of the pipeline."""
    return _answer(lambda snapshot: pipeline_json(pipeline(snapshot, roles()), snapshot))


def _answer(render: Callable[[Snapshot], dict[str, Any] | Response], *, internal: bool = False) -> Response:
    reading = current()
    if reading.snapshot is None:
        why = f" Last attempt: {reading.last_error}" if reading.last_error else ""
        return problem(503, f"No snapshot of the cluster has been taken yet.{why}")
    shown = reading.snapshot.visible(internal=internal or request.args.get("internal") == "true")
    body = render(shown)
    if isinstance(body, Response):
        return body
    text = json.dumps(_envelope(reading, reading.snapshot) | body, ensure_ascii=False)
    return tagged(Response(text + "\n", content_type="application/json"), reading)


def _envelope(reading: Reading, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "snapshot_id": snapshot.id,
        "collected_at": snapshot.collected_at.isoformat().replace("+00:00", "Z"),
        "age_seconds": round(reading.age_seconds or 0.0, 3),
        "stale": reading.stale,
        "error": reading.last_error or snapshot.error,
    }


def cluster_json(snapshot: Snapshot) -> dict[str, Any]:
    """Sums over the whole cluster."""
    partitions = [partition for topic in snapshot.topics for partition in topic.partitions]
    return {
        "cluster_id": snapshot.cluster_id,
        "controller_id": snapshot.controller_id,
        "controller_epoch": snapshot.controller_epoch,
        "brokers": len(snapshot.brokers),
        "topics": len(snapshot.topics),
        "partitions": len(partitions),
        "groups": len(snapshot.groups),
        "offline_partitions": sum(partition.leader is None for partition in partitions),
        "under_replicated_partitions": sum(partition.under_replicated for partition in partitions),
        "under_min_in_sync_partitions": sum(topic.under_min_in_sync for topic in snapshot.topics),
    }


def topic_json(topic: Topic) -> dict[str, Any]:
    """A topic in one line."""
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
        "error": topic.error,
    }


def partition_json(partition: Partition) -> dict[str, Any]:
    """A partition with what follows from it."""
    fields = asdict(partition)
    number = fields.pop("number")
    derived = {"under_replicated": partition.under_replicated, "records": partition.records}
    return {"partition": number} | fields | derived


def group_json(group: Group) -> dict[str, Any]:
    """A group in one line."""
    return {
        "id": group.id,
        "state": group.state,
        "protocol": group.protocol,
        "assignor": group.assignor,
        "coordinator": group.coordinator,
        "member_count": len(group.members),
        "committed": group.committed,
        "lag": group.lag,
        "error": group.error,
    }


def pipeline_json(figures: Pipeline, snapshot: Snapshot) -> dict[str, Any]:
    """The figures, flat enough for a shell: topics and groups by name."""
    stages = {name: asdict(getattr(figures, name)) for name in ("consumer", "wordcount", "join", "connector")}
    tables = figures.tables
    return {
        "records": figures.records,
        "produced": figures.produced,
        "produced_total": figures.produced_total,
        "dead_letters": figures.dead_letters,
        "stages": stages,
        "consumed": {group.id: group.committed for group in snapshot.groups},
        "lag": {group.id: group.lag for group in snapshot.groups},
        "connector_lines": figures.connector_lines,
        "words_counted": tables.words_counted,
        "distinct_words": tables.distinct_words,
        "words_complete": tables.complete,
        "top_words": [{"word": word, "count": count} for word, count in tables.top_words],
        "joined_total": tables.joined_total,
        "last_joined": [asdict(joined) for joined in tables.joined],
        "tables_error": tables.error,
    }
