"""The HTML pages, and the part of each that the browser fetches again with each snapshot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, current_app, render_template, request
from markupsafe import Markup

from status_api.model import UNKNOWN
from status_api.ownership import label_of
from status_api.pipeline import ABSENT
from status_api.responses import answer, cluster_figures, json_line, latest_snapshot, pipeline_figures, rendered
from status_api.terms import STOP_WORDS, TERMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from status_api.marks import TimeLag
    from status_api.model import Group, Rebalance, Snapshot
    from status_api.ownership import Ownership
    from status_api.store import LatestSnapshot

blueprint = Blueprint("page", __name__)

MOST_GROUPS = 100
"""How many groups the page shows. The API has all."""

SHOWN_WORDS = 12
"""How many of the top words the page shows."""

RECORDS_ENDPOINT = "api.topic_records"
"""The endpoint of a topic's last records, which the topic's page offers if the API has it."""

SPARK_WIDTH, SPARK_HEIGHT = 120, 24
"""The units of a sparkline: one sample for each unit of its width."""

MINUTE, HOUR = 60, 3600
"""In seconds."""

STATE_CLASSES = {"Stable": "good", "Empty": "idle", "Dead": "idle", ABSENT: "idle", UNKNOWN: "bad"}
"""The CSS class of each state of a group; every other state is busy."""

TASK_CLASSES = {"RUNNING": "good", "PAUSED": "idle", "STOPPED": "idle", "FAILED": "bad"}
"""The CSS class of each state of a connector or a task; every other state is busy."""


@blueprint.get("/")
def index() -> Response:
    """Answer with the whole page, which is complete without its script."""
    return _page("index.html", "sections.html", _overview)


@blueprint.get("/live")
def live() -> Response:
    """Answer with the part of the page that changes."""
    return _page("live.html", "sections.html", _overview)


@blueprint.get("/topics/<path:name>")
def topic(name: str) -> Response:
    """Answer with the page of one topic."""
    return _page("topic.html", "topic_sections.html", lambda snapshot: _topic(snapshot, name), name)


@blueprint.get("/live/topics/<path:name>")
def live_topic(name: str) -> Response:
    """Answer with the part of a topic's page that changes."""
    return _page("live.html", "topic_sections.html", lambda snapshot: _topic(snapshot, name), name)


@blueprint.get("/live/lanes")
def lanes() -> Response:
    """Answer with who owned which partition of a group: that of the parameter `group`, or the last that rebalanced."""
    latest = latest_snapshot()
    snapshot = latest.snapshot
    if snapshot is None:
        abort(503, "The service has not taken a snapshot of the cluster yet.")
    shown = snapshot.visible(internal=False)
    ownership: Ownership = current_app.extensions["ownership"]
    wish = request.args.get("group", "")

    def body() -> bytes:
        groups = ownership.choices(shown)
        group = wish if wish in groups else next(iter(groups), "")
        return json_line({"group": group, "groups": groups} | ownership.lanes(shown, group))

    return answer(latest, "application/json", lambda: rendered(shown, ("lanes", wish), body))


Values = dict[str, object]
"""What a template shows."""


def _page(template: str, sections: str, values: Callable[[Snapshot], Values], topic: str | None = None) -> Response:
    latest = latest_snapshot()
    return answer(latest, "text/html; charset=utf-8", lambda: _render(template, sections, latest, values, topic))


def _render(
    template: str, sections: str, latest: LatestSnapshot, values: Callable[[Snapshot], Values], topic: str | None
) -> bytes:
    if latest.snapshot is None:
        return render_template(template, latest=latest, snapshot=None, terms=TERMS, topic_name=topic).encode()
    snapshot = latest.snapshot.visible(internal=False)
    whole = latest.snapshot if topic is not None else snapshot

    def changing() -> bytes:
        return render_template(sections, snapshot=snapshot, terms=TERMS, **values(whole)).encode()

    body = Markup(rendered(snapshot, (sections, topic), changing).decode())  # noqa: S704 - our own template's output
    late_after: float = current_app.extensions["snapshots"].late_after_seconds
    return render_template(
        template,
        latest=latest,
        snapshot=snapshot,
        cluster=cluster_figures(snapshot),
        sections=body,
        late_after=late_after,
        terms=TERMS,
        topic_name=topic,
    ).encode()


def _overview(snapshot: Snapshot) -> Values:
    words = snapshot.tables.top_words
    telling = [(word, count) for word, count in words if word.lower() not in STOP_WORDS]
    return {
        "figures": pipeline_figures(snapshot),
        "groups": shown_groups(snapshot.groups),
        "history": current_app.extensions["history"],
        "words": [("all-words", words[:SHOWN_WORDS]), ("telling-words", telling[:SHOWN_WORDS])],
    }


def _topic(snapshot: Snapshot, name: str) -> Values:
    topic = snapshot.topic(name)
    if topic is None:
        abort(404, f"There is no topic {name!r}.")
    readers = [
        (group, [row for row in group.partitions if row.topic == name])
        for group in snapshot.groups
        if any(row.topic == name for row in group.partitions)
    ]
    return {
        "topic": topic,
        "readers": readers,
        "history": current_app.extensions["history"],
        "records": any(rule.endpoint == RECORDS_ENDPOINT for rule in current_app.url_map.iter_rules()),
    }


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


@blueprint.app_template_filter("rate")
def rate(value: float | None) -> str:
    """Format records a second; None becomes a dash."""
    return "– /s" if value is None else f"{value:.1f} /s"  # noqa: RUF001 - the dash is meant


@blueprint.app_template_filter("duration")
def duration(lag: TimeLag) -> str:
    """Format a lag in seconds, as exact as it is short."""
    seconds = lag.seconds
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.1f} min"
    return f"{seconds / HOUR:.1f} h"


@blueprint.app_template_filter("spark")
def spark(values: Sequence[float | None]) -> str:
    """Return the points of a sparkline, the newest at the right; a value that is not known is left out."""
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    first = SPARK_WIDTH - len(values) + 1
    points = []
    for place, value in enumerate(values, first):
        if value is not None:
            points.append(f"{place},{SPARK_HEIGHT - 1 - (SPARK_HEIGHT - 2) * value / most:.1f}")
    return " ".join(points)


@blueprint.app_template_filter("trend")
def trend(values: Sequence[float | None]) -> str:
    """Say what a sparkline shows, for those who do not see it."""
    known = [value for value in values if value is not None]
    if not known:
        return "last 10 minutes: not known yet"
    return f"last 10 minutes: at least {min(known):,.0f}, at most {max(known):,.0f}, now {known[-1]:,.0f}"


@blueprint.app_template_filter("generation")
def generation(event: Rebalance) -> str:
    """Return the name of the generation that a rebalance began."""
    return label_of(event)


@blueprint.app_template_filter("who")
def who(event: Rebalance) -> str:
    """Say who joined and who left in a rebalance."""
    texts = [
        f"{', '.join(event.members.get(member, member) for member in members)} {verb}"
        for members, verb in ((event.joined, "joined"), (event.left, "left"))
        if members
    ]
    return "; ".join(texts)


@blueprint.app_template_filter("share")
def share(value: int, of: int) -> str:
    """Return the width of a bar in per cent."""
    return f"{100 * value / of:.1f}%" if of else "0%"


@blueprint.app_template_filter("state_class")
def state_class(state: str) -> str:
    """Return the CSS class of a group's state: good, idle, bad or busy."""
    return STATE_CLASSES.get(state, "busy")


@blueprint.app_template_filter("task_class")
def task_class(state: str) -> str:
    """Return the CSS class of the state of a connector or of one of its tasks."""
    return TASK_CLASSES.get(state, "busy")


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
