"""What the JSON API and the page share: the reading, the groups' roles, the cluster's sums, and the ETag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, current_app, request

if TYPE_CHECKING:
    from status_api.model import Snapshot
    from status_api.pipeline import Roles
    from status_api.store import Reading


def current_reading() -> Reading:
    """Read the newest snapshot from the application's source."""
    reading: Reading = current_app.extensions["snapshots"].read()
    return reading


def current_roles() -> Roles:
    """Return the settings that say which group plays which role."""
    roles: Roles = current_app.extensions["roles"]
    return roles


def tagged(response: Response, reading: Reading) -> Response:
    """Give a response the snapshot's ETag, and turn it into a 304 if the client already has that snapshot.

    The tag is weak because the age in the body grows while the snapshot stays. It changes when the snapshot goes
    stale, so that no client takes an old body for a fresh one.
    """
    if reading.snapshot is not None:
        response.set_etag(reading.snapshot.id + ("-stale" if reading.stale else ""), weak=True)
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
