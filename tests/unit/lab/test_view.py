"""What a reader sees of an experiment: on a terminal, in a pipe, and as a page."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from newsroom_lab.answers import Guess, ask
from newsroom_lab.experiment import Choice, Experiment, Number, Section, experiment_of
from newsroom_lab.progress import Progress
from newsroom_lab.record import Bars, Claim, Event, Lanes, Outcome, Said, Shown, Step, Table, Verdict
from newsroom_lab.report import page
from newsroom_lab.view import LANE_COLOURS, View, bar, bar_lines, lane_lines, number

LANES = Lanes("owners", 10.0, {"0": ((0.0, 5.0, "a"), (7.5, 10.0, "b")), "1": ()})
EVENTS: list[Event] = [
    Step("Send [ten] records"),
    Shown("news-producer --count 10"),
    Said(("delivered=10 [info]",)),
    Bars("records", {"partition 0": 10, "partition 10": 5, "none": 0}, "records"),
    Table("sizes", ("codec", "kB"), (("zstd", "7"), ("[none]", "924"))),
    LANES,
    Claim("one partition", held=True, evidence="10 <b>"),
]


def shown(*events: Event) -> str:
    output = io.StringIO()
    view = View(Console(file=output, width=100, soft_wrap=True, highlight=False))
    for event in events:
        view.show(event)
    return output.getvalue()


@pytest.mark.parametrize(("value", "text"), [(12345.0, "12,345"), (6.134, "6.13"), (0.0, "0")])
def test_a_number_is_written_for_readers(value: float, text: str) -> None:
    assert number(value) == text


def test_a_bar_is_as_long_as_its_part_of_the_largest() -> None:
    assert [len(bar(value, 10, 8)) for value in (0, 5, 10)] == [0, 4, 8]
    assert bar(3, 0) == ""
    assert bar_lines(Bars("", {"a": 2, "long": 1}, "s"))[1].startswith("long " + "█" * 20 + " ")


def test_lanes_show_who_owned_and_when_nobody_did() -> None:
    lines = lane_lines(LANES)
    assert lines[0] == "0 " + "A" * 30 + "░" * 15 + "B" * 15
    assert lines[1] == "1 " + "░" * 60
    assert lines[-1].strip() == "A = a, B = b, ░ = nobody"


def test_every_event_is_a_plain_line_in_a_pipe() -> None:
    output = shown(*EVENTS)
    assert "\x1b" not in output
    for text in (
        "▸ Send [ten] records",
        "$ news-producer --count 10",
        "delivered=10 [info]",
        "[none]",
        "✓ one partition",
    ):
        assert text in output
    assert "✗ lost (3)" in shown(Claim("lost", held=False, evidence="3"))


@pytest.mark.parametrize(
    ("claims", "trouble", "verdict"),
    [
        ([True, True], "", Verdict.PASS),
        ([True, False], "", Verdict.FAIL),
        ([False], "it ended", Verdict.FAIL),
        ([True], "it ended", Verdict.BROKEN),
        ([], "", Verdict.BROKEN),
    ],
)
def test_a_run_passes_if_it_claims_something_and_all_of_it_holds(
    claims: list[bool], trouble: str, verdict: Verdict
) -> None:
    outcome = Outcome("x", events=[Claim("c", held=held, evidence="") for held in claims], trouble=trouble)
    assert outcome.verdict is verdict
    assert outcome.as_json()["verdict"] == verdict.value


def test_the_page_has_everything_and_shows_foreign_text_as_text() -> None:
    html = page([Outcome("no-key", events=list(EVENTS), answer=1, sentence="1 of <5>", seconds=2.0)])
    assert "1 passed, 0 failed" in html
    why = experiment_of("no-key").why.split("\n")[0]
    for text in ("1 of &lt;5&gt;", "10 &lt;b&gt;", "zstd", '<a href="#no-key"', why):
        assert text in html
    assert "http" not in html.replace("http-equiv", "")


def test_the_page_names_each_owner_beside_the_colour_of_its_lanes() -> None:
    html = page([Outcome("no-key", events=[LANES, EVENTS[-1]])])
    for owner, colour in zip(("a", "b"), LANE_COLOURS, strict=False):
        assert f'<i style="background: {colour}"></i>{owner}</span>' in html
        assert html.count(f'title="{owner}"') == html.count(f"background: {colour}") - 1 == 1
    assert '<i class="nobody"></i>nobody' in html


def experiment(predict: Choice | Number) -> Experiment:
    return Experiment(Section.TOPICS, (), "How many?", predict, lambda _: None, "why", {})


def test_a_guess_of_a_number_may_be_a_part_away() -> None:
    exact, rough = experiment(Number("s")), experiment(Number("s", within=0.5))
    outcome = Outcome("x", answer=10.0)
    assert [Guess(value).right(exact, outcome) for value in (10, 11)] == [True, False]
    assert [Guess(value).right(rough, outcome) for value in (5, 15, 16)] == [True, True, False]
    assert not Guess(10).right(exact, Outcome("x"))


def test_a_reader_is_asked_again_until_the_answer_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["two", "4", "2", ""])
    console = Console(file=io.StringIO())
    monkeypatch.setattr(console, "input", lambda _: next(answers))
    choice = experiment(Choice(("a", "b", "c"), right=1))
    guess = ask(console, choice)
    assert guess is not None
    assert guess.right(choice, Outcome("x"))
    assert ask(console, choice) is None


def test_progress_is_kept_and_a_broken_file_is_none(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert Progress.read(home).score(["a"]) == 0
    Progress({}).with_answer("a", right=True).with_answer("b", right=False).write(home)
    again = Progress.read(home)
    assert (again.score("abc"), again.right("a"), again.right("b"), again.right("c")) == (1, True, False, None)
    (home / "lab.json").write_text("[1]", encoding="utf-8")
    assert Progress.read(home).answers == {}
