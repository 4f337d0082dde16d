"""What the JSON API and the page share: the latest snapshot, its figures, JSON as a response, and the ETag."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, request

from status_api.pipeline import Pipeline, pipeline

if TYPE_CHECKING:
    from status_api.model import Snapshot
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
    return Response(json.dumps(body, ensure_ascii=False) + "\n", status, content_type=content_type)


def tagged(response: Response, latest: LatestSnapshot) -> Response:
    """Give a response the snapshot's ETag, and turn it into a 304 if the client already has that snapshot.

    The tag is weak because the age in the body grows while the snapshot stays. It changes when the snapshot goes
    stale, so that no client takes an old body for a fresh one.
    """
    if latest.snapshot is not None:
        response.set_etag(latest.snapshot.id + ("-stale" if latest.stale else ""), weak=True)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


def cluster_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the sums over the whole cluster, under their JSON names."""
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
