"""The page, and the part of it that the browser fetches again each second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, render_template

from status_api.api import cluster_json, current, roles, tagged
from status_api.model import UNKNOWN
from status_api.pipeline import ABSENT, pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

blueprint = Blueprint("page", __name__)

BAD_STATES = frozenset({"Dead", ABSENT, UNKNOWN})
GOOD_STATES = frozenset({"Stable"})


@blueprint.get("/")
def index() -> Response:
    """The whole page; it reads well without its script."""
    return _rendered("index.html")


@blueprint.get("/live")
def live() -> Response:
    """The part of the page that changes."""
    return _rendered("live.html")


def _rendered(template: str) -> Response:
    reading = current()
    values: dict[str, Any] = {"reading": reading, "snapshot": None}
    if reading.snapshot is not None:
        shown = reading.snapshot.visible(internal=False)
        values |= {"snapshot": shown, "cluster": cluster_json(shown), "figures": pipeline(shown, roles())}
    return tagged(Response(render_template(template, **values), content_type="text/html; charset=utf-8"), reading)


@blueprint.app_template_filter("number")
def number(value: int | None) -> str:
    """A number with thin spaces between thousands; a dash for what is not known."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")  # noqa: RUF001 - the dash is meant


@blueprint.app_template_filter("share")
def share(value: int, of: int) -> str:
    """The width of a bar in per cent."""
    return f"{100 * value / of:.1f}%" if of else "0%"


@blueprint.app_template_filter("state_class")
def state_class(state: str) -> str:
    """The colour of a group's state: good, bad, or on the way."""
    if state in GOOD_STATES:
        return "good"
    return "idle" if state in BAD_STATES or state == "Empty" else "busy"


@blueprint.app_template_filter("state_text")
def state_text(state: str) -> str:
    """A state as people write it; both halves of a classic rebalance are one to the reader."""
    return "Rebalancing" if state.endswith("Rebalance") else state


@blueprint.app_template_filter("clock")
def clock(timestamp_ms: int | None) -> str:
    """The time of a record, UTC; nothing for what is no time in milliseconds, as a producer may send it."""
    if timestamp_ms is None:
        return ""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


@blueprint.app_template_filter("zip")
def zipped(left: Iterable[Any], right: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Pairs of two sequences of the same length."""
    return zip(left, right, strict=True)
