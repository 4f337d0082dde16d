"""The Flask application. Importing or creating it starts no thread and opens no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from werkzeug.routing import BaseConverter

from status_api import api, page
from status_api.events import Feed
from status_api.exposition import exposition
from status_api.history import History
from status_api.login import guard_token
from status_api.metrics import SnapshotMetrics, StoreMetrics
from status_api.neighbours import Registry
from status_api.ownership import Ownership
from status_api.packing import EMPTY, compress, gzipped, pack, unpacked
from status_api.problems import install_problems
from status_api.rates import guard_rate
from status_api.records import RecordReader, topic_records
from status_api.rendering import Renderings
from status_api.requests import guard_requests
from status_api.responses import json_response, rendered
from status_api.surroundings import parse_links

if TYPE_CHECKING:
    from newsroom.health import Health
    from status_api.model import Snapshot
    from status_api.settings import StatusSettings
    from status_api.store import SnapshotStore

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class AnyId(BaseConverter):
    """A group id in a path: any characters, slashes at its beginning and line breaks too."""

    regex = r"[\s\S]*"
    part_isolating = False


def create_app(store: SnapshotStore, health: Health, settings: StatusSettings) -> Flask:
    """Create the application that serves the snapshots of a store."""
    app = Flask(__name__)
    app.url_map.merge_slashes = False
    app.url_map.converters["any_id"] = AnyId
    app.extensions["snapshots"] = store
    app.extensions["settings"] = settings
    app.extensions["renderings"] = Renderings()
    app.jinja_env.globals["links"] = parse_links(settings.links)
    _watch(app, store)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(page.blueprint)
    if settings.records:
        app.extensions["records"] = RecordReader(settings, Registry(settings) if settings.registry_url else None)
        app.add_url_rule("/api/v1/topics/<name>/records", page.RECORDS_ENDPOINT, topic_records)
    install_problems(app)
    _add_probes(app, store, health)
    _add_metrics(app, store)
    if settings.rate:
        guard_rate(app, settings.rate)
    if settings.token is not None:
        guard_token(app, settings.token.get_secret_value(), secure=settings.public_url.startswith("https:"))
    guard_requests(app, settings)
    app.after_request(compress)

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        return response

    return app


def _watch(app: Flask, store: SnapshotStore) -> None:
    """Let the parts that remember earlier snapshots take in each new one."""
    history, ownership = History(), Ownership()
    feed = Feed(history)
    app.extensions |= {"history": history, "ownership": ownership, "feed": feed}

    def take_in(snapshot: Snapshot) -> None:
        history.add(snapshot)
        ownership.update(snapshot)

    store.watch(take_in, feed.publish)


def _add_probes(app: Flask, store: SnapshotStore, health: Health) -> None:
    @app.get("/livez")
    def livez() -> Response:
        return _probe(*health.alive())

    @app.get("/readyz")
    def readyz() -> Response:
        latest = store.read()
        age = None if latest.age_seconds is None else round(latest.age_seconds, 3)
        return _probe(not latest.stale, {"snapshot_age_seconds": age, "error": latest.last_error})


def _probe(good: bool, details: dict[str, object]) -> Response:
    response = json_response({"status": "ok" if good else "unavailable", **details}, 200 if good else 503)
    response.headers["Cache-Control"] = "no-store"
    return response


def _add_metrics(app: Flask, store: SnapshotStore) -> None:
    process = CollectorRegistry()
    process.register(StoreMetrics(store))
    ProcessCollector(registry=process)

    @app.get("/metrics")
    def metrics() -> Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        snapshot = store.read().snapshot
        packed = EMPTY
        if snapshot is not None:

            def render() -> bytes:
                return pack(exposition(SnapshotMetrics(snapshot).collect(), encode))

            packed = rendered(snapshot, ("metrics", content_type), render)
        if request.accept_encodings.quality("gzip") > 0:
            response = Response(gzipped(packed, encode(process)), content_type=content_type)
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = Response([unpacked(packed), encode(process)], content_type=content_type)
        response.vary.add("Accept")
        response.headers["Cache-Control"] = "no-store"
        return response
