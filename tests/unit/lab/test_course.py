"""The lab as pages, words and open questions: one source, and nothing that is not shown."""

import datetime as dt
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from newsroom.words import WORDS
from newsroom_lab import cli, course
from newsroom_lab.answers import discuss
from newsroom_lab.experiment import experiments
from newsroom_lab.explaining import UnknownWord, explain, list_words
from newsroom_lab.questions import QUESTIONS, Question
from newsroom_lab.record import Bars, Claim, Lanes, Outcome, Said, Shown, Step, Table
from newsroom_lab.rows import ROWS
from newsroom_stack.errors import StackError

DAY = dt.date(2026, 11, 27)
RUN = Outcome(
    "no-key",
    events=[
        Step("Send ten records"),
        Shown("news-producer --count 10"),
        Said(("a line of a log",)),
        Bars("records by partition", {"partition 0": 10, "<partition> 1": 0}, "records"),
        Table("sizes", ("codec", "kB"), (("a|b", "7"),)),
        Lanes("owners", 10.0, {"partition 0": ((0.0, 5.0, "member 1"),)}),
        Claim("each run used one partition", held=True, evidence="[1, 1]"),
    ],
    sentence="1 partition in the first run",
    seconds=3.14159,
)


def printed(action: Any, *arguments: Any) -> str:  # noqa: ANN401 - shorthand
    output = io.StringIO()
    action(Console(file=output, width=200), *arguments)
    return output.getvalue()


def test_docs_are_what_the_experiments_and_their_numbers_say() -> None:
    results = course.read_results(course.FOLDER / course.RESULTS)
    stale = course.stale(course.pages(course.merge(results, [], DAY)))
    assert not stale, "run 'newsroom lab docs' and commit what it writes"


def test_a_run_that_passed_is_taken_in_without_what_programs_wrote() -> None:
    results = course.merge({"no-such-experiment": {}}, [RUN.as_json()], DAY)
    assert list(results) == ["no-key"]
    assert results["no-key"]["measured"] == "2026-11-27"
    kinds = [event["kind"] for event in results["no-key"]["events"]]
    assert kinds == ["step", "command", "bars", "table", "lanes", "claim"]


@pytest.mark.parametrize("change", [{"verdict": "FAIL"}, {"wrong": "each record"}, {"name": "no-such-experiment"}])
def test_another_run_is_not(change: dict[str, str]) -> None:
    before = {"no-key": {"sentence": "before"}}
    assert course.merge(before, [RUN.as_json() | change], DAY) == before


def test_the_pages_show_numbers_pictures_and_what_has_no_experiment() -> None:
    files = course.pages(course.merge({}, [RUN.as_json()], DAY))
    page = files["02-topics-partitions-keys.md"]
    for text in (
        "**Measured (2026-11-27):** 1 partition in the first run.",
        "![records by partition](images/no-key-2.svg)",
        r"| a\|b | 7 |",
        "![owners](images/no-key-4.svg)",
        "- ✓ each run used one partition ([1, 1])",
        "news-producer --count 10",
    ):
        assert text in page
    assert "a line of a log" not in page
    assert "&lt;partition&gt; 1" in files["images/no-key-2.svg"]
    assert 'width="320.0"' in files["images/no-key-4.svg"]
    assert "| 3 | Send ten records without a key: on which partitions do they land? | [no-key](" in files["README.md"]


def test_files_that_are_no_longer_made_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("", encoding="utf-8")
    course.write({"images/a.svg": "<svg/>", "README.md": "x"}, tmp_path)
    assert course.stale({"images/a.svg": "<svg/>", "README.md": "x"}, tmp_path) == []
    assert course.stale({"README.md": "y"}, tmp_path) == ["README.md", "images/a.svg"]
    with pytest.raises(StackError, match=r"nothing\.json cannot be read as results"):
        course.read_results(tmp_path / "nothing.json")


def test_what_experiments_name_is_there() -> None:
    for experiment in experiments().values():
        assert set(experiment.terms) <= WORDS.keys(), experiment.name
        assert set(experiment.rows) <= set(range(1, len(ROWS) + 1)), experiment.name
    for question in QUESTIONS:
        assert set(question.experiments) <= experiments().keys(), question.name
    assert len(ROWS) == 41


def test_a_word_is_explained_with_the_experiment_that_shows_it() -> None:
    text = printed(explain, "ISR")
    assert text.startswith("in-sync replica (isr, in sync, min.insync.replicas)\nA replica that has every acknowledged")
    assert "see it: newsroom lab run brokers\n" in text
    assert "also: replicas, acks, min-isr" in text
    with pytest.raises(UnknownWord, match="'partitoin' is not explained here; do you mean partition"):
        printed(explain, "partitoin")
    lines = printed(list_words).splitlines()
    assert len(lines) == len(WORDS)
    assert lines[0].startswith("acknowledgement")


def test_an_open_question_is_judged_by_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    console = Console(file=output, width=200)
    answers = iter(["the customer", "yes", "", ""])
    monkeypatch.setattr(console, "input", lambda _: next(answers))
    assert discuss(console, QUESTIONS[0])
    assert not discuss(console, QUESTIONS[0])
    assert "see it: newsroom lab run one-key hot-key" in output.getvalue()


def test_the_quiz_asks_open_questions_until_they_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEWSROOM_HOME", str(tmp_path))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    asked: list[str] = []

    def answer(_: Console, question: Question) -> bool:
        asked.append(question.name)
        return question is QUESTIONS[0]

    monkeypatch.setattr(cli, "discuss", answer)
    assert cli.main(["quiz", "--open"]) == 0
    assert asked == [question.name for question in QUESTIONS]
    assert cli.main(["quiz", "--open"]) == 0
    assert asked[len(QUESTIONS) :] == [question.name for question in QUESTIONS[1:]]
    assert f"open questions: 1 of {len(QUESTIONS)}" in capsys.readouterr().out


def test_the_command_line_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "consumer", "lag"]) == 0
    assert cli.main(["explain"]) == 0
    assert cli.main(["explain", "qwertz"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("lag (consumer lag)\n")
    assert "'qwertz' is not explained here" in output.err
