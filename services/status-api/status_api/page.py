"""The HTML page, and the part of it that the browser fetches again each second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, render_template

from status_api.model import UNKNOWN
from status_api.pipeline import ABSENT
from status_api.responses import cluster_figures, latest_snapshot, pipeline_figures, tagged

blueprint = Blueprint("page", __name__)

STATE_CLASSES = {"Stable": "good", "Empty": "idle", "Dead": "idle", ABSENT: "idle", UNKNOWN: "idle"}
"""The CSS class of each state of a group; every other state is busy."""


@blueprint.get("/")
def index() -> Response:
    """Answer with the whole page, which is complete without its script."""
    return _rendered("index.html")


@blueprint.get("/live")
def live() -> Response:
    """Answer with the part of the page that changes."""
    return _rendered("live.html")


def _rendered(template: str) -> Response:
    latest = latest_snapshot()
    values: dict[str, Any] = {"latest": latest, "snapshot": None}
    if latest.snapshot is not None:
        snapshot = latest.snapshot.visible(internal=False)
        values |= {"snapshot": snapshot, "cluster": cluster_figures(snapshot), "figures": pipeline_figures(snapshot)}
    return tagged(Response(render_template(template, **values), content_type="text/html; charset=utf-8"), latest)


@blueprint.app_template_filter("number")
def number(value: int | None) -> str:
    """Format a number with narrow spaces between the thousands; None becomes a dash."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")  # noqa: RUF001 - the dash is meant


@blueprint.app_template_filter("share")
def share(value: int, of: int) -> str:
    """Return the width of a bar in per cent."""
    return f"{100 * value / of:.1f}%" if of else "0%"


@blueprint.app_template_filter("state_class")
def state_class(state: str) -> str:
    """Return the CSS class of a group's state: good, idle or busy."""
    return STATE_CLASSES.get(state, "busy")


@blueprint.app_template_filter("state_text")
def state_text(state: str) -> str:
    """Return a state as the page shows it: both phases of a classic rebalance are `Rebalancing`."""
    return "Rebalancing" if state.endswith("Rebalance") else state


@blueprint.app_template_filter("clock")
def clock(timestamp_ms: int | None) -> str:
    """Format a record's timestamp as UTC time; a producer may send one out of range, which becomes an empty text."""
    if timestamp_ms is None:
        return ""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""
