"""What the JSON API and the page share: the latest snapshot, its figures, bodies made once, and the ETag."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, request

from status_api.pipeline import Pipeline, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from status_api.model import Snapshot
    from status_api.rendering import Renderings
    from status_api.store import LatestSnapshot


def latest_snapshot() -> LatestSnapshot:
    """Read the newest snapshot from the application's store."""
    latest: LatestSnapshot = current_app.extensions["snapshots"].read()
    return latest


def pipeline_figures(snapshot: Snapshot) -> Pipeline:
    """Compute the pipeline's figures with the groups that the settings name."""
    return pipeline(snapshot, current_app.extensions["settings"])


def json_response(body: dict[str, Any], status: int = 200, content_type: str = "application/json") -> Response:
    """Make a response of one line of JSON."""
    return Response(json_line(body), status, content_type=content_type)


def json_line(body: dict[str, Any]) -> bytes:
    """Return one line of JSON."""
    return json.dumps(body, ensure_ascii=False).encode() + b"\n"


def rendered(snapshot: Snapshot, key: Hashable, render: Callable[[], bytes]) -> bytes:
    """Return the body with this key, made once for each snapshot."""
    renderings: Renderings = current_app.extensions["renderings"]
    return renderings.get(snapshot.id, key, render)


def answer(latest: LatestSnapshot, content_type: str, render: Callable[[], bytes]) -> Response:
    """Answer with a body, or with 304 and no work if the client already has what it would show.

    The tag is weak because the age in the body grows while the rest stays. It changes when the snapshot goes stale and
    when another error is shown, so that no client takes an old body for a fresh one.
    """
    version = latest.version
    known = version is not None and request.if_none_match.contains_weak(version)
    response = Response(status=304) if known else Response(render(), content_type=content_type)
    if version is not None:
        response.set_etag(version, weak=True)
    response.headers["Cache-Control"] = "no-cache"
    return response


def cluster_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the sums over the whole cluster, under their JSON names."""
    partitions = [partition for topic in snapshot.topics for partition in topic.partitions]
    return {
        "cluster_id": snapshot.cluster_id,
        "controller_id": snapshot.controller_id,
        "controller_epoch": snapshot.controller_epoch,
        "brokers": snapshot.alive,
        "brokers_gone": len(snapshot.brokers) - snapshot.alive,
        "topics": len(snapshot.topics),
        "partitions": len(partitions),
        "groups": len(snapshot.groups),
        "offline_partitions": sum(partition.leader is None for partition in partitions),
        "under_replicated_partitions": sum(partition.under_replicated for partition in partitions),
        "under_min_in_sync_partitions": sum(topic.under_min_in_sync for topic in snapshot.topics),
    }
