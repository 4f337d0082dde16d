"""The demo's story on a pipeline that does not do its part: the stage is named, and what was seen instead."""

import re
import subprocess
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from newsroom_stack.cli import app as cli
from newsroom_stack.cli import display as display_module
from newsroom_stack.cli.display import Display
from newsroom_stack.errors import StackError
from newsroom_stack.interface import Stack
from newsroom_stack.pipeline import story as demo
from newsroom_stack.pipeline.story import StageFailed, Story
from newsroom_stack.ports import Ports
from support.waiting import wait_for

WORDS = [f"value{number}" for number in range(21)]


class Pipeline:
    """A pipeline in which everything works; tests replace parts of it. It is stack and observer in one."""

    ports = Ports()

    def __init__(self) -> None:
        self.rounds = 0
        self.unready: list[str] = []
        self.labelled = False
        self.writers: tuple[str, ...] = ()
        self.acts: list[str] = []
        self.produced: list[tuple[str, ...]] = []

    def running(self) -> bool:
        return True

    def ps(self) -> list[Any]:
        return [
            *(SimpleNamespace(name=name, service=name, ready=True) for name in ("kafka-1", *self.writers)),
            *(SimpleNamespace(name=name, service=name, ready=False) for name in self.unready),
        ]

    def pause(self, name: str) -> None:
        self.acts.append(f"pause {name}")

    def resume(self, name: str) -> None:
        self.acts.append(f"resume {name}")

    def execute(self, *_: str) -> str:
        return f"{42 * self.rounds} test.sink.txt\n"

    def end_offsets(self, topic: str) -> dict[int, int]:
        return {0: 42 * self.rounds if topic == "mytopic" else 10}

    def committed(self, _group: str, _topic: str) -> dict[int, int]:
        return {0: 10}

    def passed(self, _group: str, _topic: str, _ends: dict[int, int]) -> bool:
        return True

    def counts(self) -> dict[str, int]:
        return dict.fromkeys(WORDS, self.rounds) if self.rounds else {}

    def joined(self, _since: Mapping[int, int] | None = None) -> list[tuple[str, int, str]]:
        return [("value10", self.rounds, "active")] if self.labelled else []

    def produce(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.produced.append(tuple(command[1:]))
        if "--rounds" in command:
            self.rounds += int(command[command.index("--rounds") + 1])
        else:
            self.labelled = True
        return subprocess.CompletedProcess(command, 0, "sent\n", "")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = Pipeline()
    monkeypatch.setattr(demo, "Observer", lambda _: made)
    monkeypatch.setattr(demo, "STAGE_SECONDS", 0.1)
    monkeypatch.setattr(demo, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(subprocess, "run", made.produce)
    return made


def story(pipeline: Pipeline) -> tuple[Story, list[str]]:
    said: list[str] = []
    return Story(cast("Stack", pipeline), said.append, started=0.0), said


def test_who_else_writes_pauses_meanwhile_and_goes_on_after_a_failure_too(
    pipeline: Pipeline,
) -> None:
    pipeline.writers = ("lab-rounds", "lab-labels")
    demo, _ = story(pipeline)
    demo.tell()
    resumed = ["resume lab-rounds", "resume lab-labels"]
    assert pipeline.acts == ["pause lab-rounds", "pause lab-labels", *resumed]
    pipeline.labelled, pipeline.execute = False, lambda *_: "0 lines"  # type: ignore[method-assign]
    with pytest.raises(StackError, match="'connector' was not seen"):
        demo.tell()
    assert pipeline.acts[-2:] == resumed


def test_a_pipeline_that_works_is_told_with_its_figures(pipeline: Pipeline) -> None:
    demo, said = story(pipeline)
    line = demo.tell().line()
    assert re.fullmatch(
        r"pipeline: ok - 10 headlines in, 10 consumed, 126 words counted, value10 counted 6, joined \(6, active\), "
        r"connector 252 lines, in \d+ s",
        line,
    ), line
    assert [line for line in said if line.endswith(": seen")] == [
        *("everything ready: seen", "headlines: seen", "consumed: seen"),
        *("wordcount-stream past mytopic: seen", "wordcount-stream past word-deltas: seen", "word count: seen"),
        *("join-service past word-counts: seen", "join: seen", "connector: seen"),
    ]


@pytest.mark.parametrize(
    ("part", "answer", "sentence"),
    [
        ("unready", ["registry"], "'everything ready' was not seen within 0 s: not ready: registry"),
        ("committed", lambda *_: {}, "'consumed' was not seen within 0 s: 0 of 10"),
        ("passed", lambda *_: False, r"'wordcount-stream past mytopic' was not seen within 0 s: committed \{0: 10\}"),
        ("counts", lambda: {"value0": 1}, r"'word count' was not seen .* value0 is 1 instead of 7 \(21 words differ\)"),
        ("joined", lambda *_: [], r"'join' was not seen .* no \('value10', 6, 'active'\) in words-joined"),
        ("execute", lambda *_: "41 test.sink.txt\n", "'connector' was not seen within 0 s: 41 of 252 lines"),
    ],
)
def test_a_stage_that_is_not_seen_is_named_with_what_is_there(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, part: str, answer: object, sentence: str
) -> None:
    monkeypatch.setattr(pipeline, part, answer)
    with pytest.raises(StageFailed, match=f"stage {sentence}"):
        story(pipeline)[0].tell()


def test_a_question_without_an_answer_is_asked_again_and_names_its_stage(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = 2

    def end_offsets(topic: str) -> dict[int, int]:
        nonlocal silent
        if topic == "word-counts" and silent:
            silent -= 1
            raise StackError("topic word-counts: no end offsets")
        return Pipeline.end_offsets(pipeline, topic)

    monkeypatch.setattr(pipeline, "end_offsets", end_offsets)
    monkeypatch.setattr(demo, "STAGE_SECONDS", 10.0)
    assert story(pipeline)[0].tell().count == 6
    silent = 1_000_000
    monkeypatch.setattr(demo, "STAGE_SECONDS", 0.1)
    with pytest.raises(StageFailed, match=r"'join-service past word-counts' .* word-counts: no end offsets"):
        story(pipeline)[0].tell()


def test_a_producer_that_hangs_or_fails_is_told_with_its_last_lines(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 60, output=b"one\nwaiting for the topic\n")

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(StageFailed, match="news-producer did not end within 0 s: one waiting for the topic"):
        story(pipeline)[0].tell()

    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "sent=3\n", "error: no broker\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(StageFailed, match="news-producer ended with exit code 1: sent=3 error: no broker"):
        story(pipeline)[0].tell()


def test_the_command_says_failed_with_the_stage_and_ends_with_1(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "open_stack", lambda: pipeline)
    monkeypatch.setattr(display_module, "fetch_figures", lambda _: None)
    console = Console(width=200, record=True, force_terminal=False)
    monkeypatch.setattr(cli, "console", lambda: console)
    good = cli.main(["demo", "--for", "0s"])
    assert (good, "pipeline: ok - " in console.export_text(clear=True)) == (0, True)
    monkeypatch.setattr(pipeline, "execute", lambda *_: "0 test.sink.txt\n")
    assert cli.main(["demo"]) == 1
    said = console.export_text()
    assert "pipeline: failed - stage 'connector' was not seen within 0 s: 0 of 504 lines" in said


def test_a_terminal_gets_a_living_table_with_the_story_below(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {
        "records": {"news": 1200, "mytopic": 252},
        "stages": {"consumer": {"consumed": 1190}},
        "words_counted": 4321,
        "distinct_words": 99,
        "connector_committed": 252,
        "joined_total": 1,
        "top_words": [{"word": "market", "count": 70}],
        "last_joined": [{"word": "value10", "value": "(6, active)"}],
        "lag": {"avro-consumer": 10, "join-service": None},
    }
    monkeypatch.setattr(display_module, "fetch_figures", lambda _: figures)
    monkeypatch.setattr(display_module, "REDRAW_SECONDS", 0.01)
    console = Console(width=200, record=True, force_terminal=True)
    with Display(console, Ports(), "Ctrl-C stops everything") as display:
        display.say("word count: seen")
        wait_for("the story", lambda: "word count: seen" in console.export_text(clear=False))
        display.announce("pipeline: ok - all")
    said = console.export_text()
    rows = [
        *(r"records in +news 1,200, mytopic 252", r"consumed +1,190", r"words counted +4,321, 99 different"),
        *(r"top words +market 70", r"joined +1  value10 \(6, active\)", r"lag +avro-consumer 10, join-service -"),
        *(r"addresses +page http://localhost:8000", r"pipeline: ok - all"),
    ]
    assert [row for row in rows if not re.search(row, said)] == []
