"""The HTML page, and the part of it that the browser fetches again each second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, render_template
from markupsafe import Markup

from status_api.model import UNKNOWN
from status_api.pipeline import ABSENT
from status_api.responses import answer, cluster_figures, latest_snapshot, pipeline_figures, rendered

if TYPE_CHECKING:
    from status_api.model import Group
    from status_api.store import LatestSnapshot

blueprint = Blueprint("page", __name__)

MOST_GROUPS = 100
"""How many groups the page shows. The API has all."""

STATE_CLASSES = {"Stable": "good", "Empty": "idle", "Dead": "idle", ABSENT: "idle", UNKNOWN: "bad"}
"""The CSS class of each state of a group; every other state is busy."""


@blueprint.get("/")
def index() -> Response:
    """Answer with the whole page, which is complete without its script."""
    return _page("index.html")


@blueprint.get("/live")
def live() -> Response:
    """Answer with the part of the page that changes."""
    return _page("live.html")


def _page(template: str) -> Response:
    latest = latest_snapshot()
    return answer(latest, "text/html; charset=utf-8", lambda: _render(template, latest).encode())


def _render(template: str, latest: LatestSnapshot) -> str:
    if latest.snapshot is None:
        return render_template(template, latest=latest, snapshot=None)
    snapshot = latest.snapshot.visible(internal=False)

    def sections() -> bytes:
        figures, groups = pipeline_figures(snapshot), shown_groups(snapshot.groups)
        return render_template("sections.html", snapshot=snapshot, figures=figures, groups=groups).encode()

    body = Markup(rendered(snapshot, "sections", sections).decode())  # noqa: S704 - it is our own template's output
    late_after: float = current_app.extensions["snapshots"].late_after_seconds
    return render_template(
        template,
        latest=latest,
        snapshot=snapshot,
        cluster=cluster_figures(snapshot),
        sections=body,
        late_after=late_after,
    )


def shown_groups(groups: tuple[Group, ...]) -> list[Group]:
    """Return the groups that the page shows, in their order: all, or those that need a look most if there are many."""
    if len(groups) <= MOST_GROUPS:
        return list(groups)
    first = sorted(groups, key=lambda group: (group.error is None, group.lag is not None, -(group.lag or 0), group.id))
    shown = {group.id for group in first[:MOST_GROUPS]}
    return [group for group in groups if group.id in shown]


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
    """Return the CSS class of a group's state: good, idle, bad or busy."""
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
