"""docs/lab: the course as pages to read, made from the experiments and their last measured numbers."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from newsroom.words import WORDS
from newsroom_lab.experiment import Choice, Section, experiments
from newsroom_lab.explaining import shown_by
from newsroom_lab.questions import QUESTIONS
from newsroom_lab.record import Verdict
from newsroom_lab.rows import ROWS
from newsroom_lab.view import LANE_COLOURS, number
from newsroom_stack.errors import StackError
from newsroom_stack.layout import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = REPOSITORY / "docs" / "lab"
RESULTS = "results.json"

KEPT = frozenset({"step", "command", "bars", "table", "lanes", "claim"})
"""The events of a run that the pages show; what programs wrote is left out."""

LONGEST_LINE = 200


def merge(results: Mapping[str, Any], runs: list[dict[str, Any]], today: dt.date) -> dict[str, Any]:
    """The results with those of later runs that passed."""
    merged = {name: result for name, result in results.items() if name in experiments()}
    for run in runs:
        if run["verdict"] == Verdict.PASS and not run["wrong"] and run["name"] in experiments():
            events = [event for event in run["events"] if event["kind"] in KEPT]
            merged[run["name"]] = {
                "measured": today.isoformat(),
                "sentence": run["sentence"],
                "events": events,
            }
    return {name: merged[name] for name in experiments() if name in merged}


def read_results(path: Path) -> Any:  # noqa: ANN401 - JSON
    """A file with results.

    Raises:
        StackError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StackError(f"{path} cannot be read as results: {error}") from error


def pages(results: Mapping[str, Any]) -> dict[str, str]:
    """Every file of the course by its path below docs/lab."""
    environment = _environment()
    known = experiments()
    files = {RESULTS: json.dumps(results, indent=1, ensure_ascii=False) + "\n"}
    by_row = {
        row: [experiment for experiment in known.values() if row in experiment.rows] for row in range(1, len(ROWS) + 1)
    }
    sections = {
        section: [experiment for experiment in known.values() if experiment.section is section] for section in Section
    }
    common = {"results": results, "by_row": by_row, "sections": sections}
    files["README.md"] = environment.get_template("course.md.j2").render(common)
    for section, members in sections.items():
        if members:
            text = environment.get_template("section.md.j2").render(common, section=section, experiments=members)
            files[page_of(section)] = text
    files["words.md"] = environment.get_template("words.md.j2").render(words=WORDS)
    files["questions.md"] = environment.get_template("questions.md.j2").render(questions=QUESTIONS)
    for name, result in results.items():
        for place, event in enumerate(result["events"]):
            if event["kind"] in {"bars", "lanes"}:
                template = environment.get_template(f"{event['kind']}.svg.j2")
                files[picture_of(name, place)] = template.render(event=event, owners=_owners(event))
    return files


def write(files: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Make the folder hold these files and no others.

    Raises:
        StackError: it cannot be written.
    """
    try:
        for path in stale(files, folder):
            (folder / path).unlink(missing_ok=True)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StackError(f"{error.filename} cannot be written: {error.strerror}") from error


def stale(files: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """Paths below the folder that are not as these files say."""
    there = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    return sorted(path for path in there.keys() | files.keys() if there.get(path) != files.get(path))


def today() -> dt.date:
    """The day of a measurement."""
    return dt.datetime.now(tz=dt.UTC).date()


def page_of(section: Section) -> str:
    """The page of a section, below docs/lab."""
    return f"{list(Section).index(section) + 1:02}-{anchor(section)}.md"


def picture_of(name: str, place: int) -> str:
    """The picture of an experiment's event, below docs/lab."""
    return f"images/{name}-{place}.svg"


def anchor(text: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^a-z0-9 -]", "", text.lower()).replace(" ", "-")


def _owners(event: Mapping[str, Any]) -> list[str]:
    return sorted({span[2] for spans in event.get("lanes", {}).values() for span in spans})


def _cell(text: str) -> str:
    return str(text).replace("|", r"\|").replace("\n", " ")


def _prose(text: str) -> str:
    """A text of the source as one paragraph, whose brackets and angles Markdown leaves alone."""
    return " ".join(text.split()).replace("<", "&lt;")


def _command(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} …"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("newsroom_lab"),
        autoescape=select_autoescape(enabled_extensions=("svg.j2",), default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "cell": _cell, "prose": _prose, "command": _command, "anchor": anchor}
    environment.globals |= {
        "rows": ROWS,
        "colours": LANE_COLOURS,
        "page_of": page_of,
        "picture_of": picture_of,
        "shown_by": shown_by,
        "page_of_experiment": lambda name: f"{page_of(experiments()[name].section)}#{name}",
        "is_choice": lambda predict: isinstance(predict, Choice),
    }
    return environment
