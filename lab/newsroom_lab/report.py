"""The results as one HTML page: pictures, numbers and reasons, with nothing from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from newsroom_lab.experiment import Choice, Section, experiments
from newsroom_lab.record import Verdict
from newsroom_lab.view import LANE_COLOURS, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsroom_lab.record import Outcome


def page(outcomes: Sequence[Outcome]) -> str:
    """The page of a run's outcomes, by section."""
    environment = Environment(
        loader=PackageLoader("newsroom_lab"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = number
    known = experiments()
    sections = {
        section: [(known[outcome.name], outcome) for outcome in outcomes if known[outcome.name].section is section]
        for section in Section
    }
    totals = {verdict: sum(outcome.verdict is verdict for outcome in outcomes) for verdict in Verdict}
    template = environment.get_template("report.html.j2")
    return template.render(sections=sections, totals=totals, colours=LANE_COLOURS, is_choice=_is_choice)


def _is_choice(predict: object) -> bool:
    return isinstance(predict, Choice)
