"""The Flask application. Importing or creating it starts no thread and opens no connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from werkzeug.exceptions import MethodNotAllowed

from status_api import api, page
from status_api.metrics import SnapshotMetrics
from status_api.pipeline import Roles
from status_api.problems import install_problems

if TYPE_CHECKING:
    from newsroom.health import Health
    from status_api.store import SnapshotSource

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
METHODS = ["GET", "HEAD"]


def create_app(source: SnapshotSource, health: Health, roles: Roles | None = None) -> Flask:
    """Create the application that serves the snapshots of `source`."""
    app = Flask(__name__)
    app.extensions["snapshots"] = source
    app.extensions["roles"] = roles or Roles()
    app.register_blueprint(api.blueprint)
    app.register_blueprint(page.blueprint)
    install_problems(app)
    _add_probes(app, source, health)
    _add_metrics(app, source)

    @app.before_request
    def only_reading() -> None:
        if request.method not in METHODS:
            raise MethodNotAllowed(METHODS)

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        return response

    return app


def _add_probes(app: Flask, source: SnapshotSource, health: Health) -> None:
    @app.get("/livez")
    def livez() -> Response:
        alive, details = health.alive()
        return _probe(alive, details)

    @app.get("/readyz")
    def readyz() -> Response:
        reading = source.read()
        age = None if reading.age_seconds is None else round(reading.age_seconds, 3)
        return _probe(not reading.stale, {"snapshot_age_seconds": age, "error": reading.last_error})


def _probe(good: bool, details: dict[str, object]) -> Response:
    body = {"status": "ok" if good else "unavailable", **details}
    response = Response(json.dumps(body) + "\n", 200 if good else 503, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _add_metrics(app: Flask, source: SnapshotSource) -> None:
    registry = CollectorRegistry()
    registry.register(SnapshotMetrics(source))
    ProcessCollector(registry=registry)

    @app.get("/metrics")
    def metrics() -> Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), content_type=content_type)
