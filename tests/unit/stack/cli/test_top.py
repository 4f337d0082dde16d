"""`newsroom top`, and what `newsroom scale` says of the owners, against a status API of a few lines."""

import contextlib
import io
import json
import os
import pty
import re
import termios
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from newsroom_stack.cli import app as cli
from newsroom_stack.cli import status as status_module
from newsroom_stack.cli import top as top_module
from newsroom_stack.cli.status import after_scaling, assignment, assignment_lines, compact, events
from newsroom_stack.cli.top import View, _live, action_of, lines, once, picture
from newsroom_stack.errors import StackError
from newsroom_stack.interface import Instance, State
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import StackSettings
from support.waiting import wait_for
from support.web import NOBODY, Request, Web

CHOSEN = re.compile(r"(\w-\d): (?:\x1b\[[\d;]*m)*↑")
OTHER_EVENTS = "retry: 1000\n\n: heartbeat\n\nid: a-1\nevent: rebalance\ndata: {}\n\n"
FIGURES = {
    "snapshot_id": "boot-7",
    "collected_at": "2026-01-02T03:04:05Z",
    "produced_per_second": {"news": 5.04, "word": None},
    "consumed_per_second": {"avro-consumer": 4.0, "apicurio-1": None},
    "lag": {"avro-consumer": 1234, "apicurio-1": None},
}
MEMBERS = [
    {"id": "m-two", "client_id": "consumer", "instance_id": "c-2", "assignment": [["news", 2], ["changelog__x", 2]]},
    {"id": "m-one", "client_id": "consumer", "instance_id": "c-1", "assignment": [["news", 1], ["news", 0]]},
]


def a_move(partition: int, seconds: float) -> dict[str, Any]:
    return {
        "topic": "news",
        "partition": partition,
        "before": "m-one",
        "after": "m-two",
        "seconds_without_owner": seconds,
    }


REBALANCES = [
    {"number": 4, "moves": [a_move(2, 0.5)]},
    {"number": 3, "moves": [a_move(2, 1.0), a_move(1, 0.2)]},
    {"number": 2, "moves": [a_move(0, 9.0)]},
]


def answer(request: Request) -> None:
    path = request.path.partition("?")[0]
    if path == "/api/v1/events":
        request.reply(200, f"{OTHER_EVENTS}event: snapshot\ndata: {json.dumps(FIGURES)}\n\n".encode())
    elif path == "/api/v1/groups/avro-consumer":
        request.reply(200, json.dumps({"state": "Stable", "members": MEMBERS}).encode())
    elif path == "/api/v1/groups/avro-consumer/rebalances":
        request.reply(200, json.dumps({"rebalances": REBALANCES}).encode())
    else:
        request.reply(404)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(answer) as web:
        yield web


@pytest.fixture
def stack(tmp_path: Path, web: Web) -> ProcessStack:
    stack = ProcessStack(StackSettings(home=tmp_path))
    stack.ports = type("Ports", (), {"status_url": web.url})()
    return stack


def an_instance(name: str, service: str) -> Instance:
    return Instance(name, service, "service", 1, "", State.RUNNING, ready=True, restarts=0, memory_bytes=0)


def test_who_owns_what_and_what_the_rebalances_since_then_cost(web: Web) -> None:
    result = after_scaling(web.url, "avro-consumer", 2, before=2)
    assert result is not None
    assert list(assignment_lines(result)) == [
        "group avro-consumer: Stable",
        "  c-1 owns news[0,1]",
        "  c-2 owns news[2]",
        "  news[1] moved, 0.2 s without an owner",
        "  news[2] moved, 1.5 s without an owner",
    ]


def test_a_service_without_a_group_and_a_silent_status_api_add_nothing(web: Web) -> None:
    assert after_scaling(web.url, "news-producer", 2, 0) is None
    assert after_scaling(f"http://{NOBODY}", "avro-consumer", 2, 0) is None


def test_a_number_of_members_that_does_not_come_ends_the_wait(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "OWNERS_SECONDS", 0.2)
    assert after_scaling(web.url, "avro-consumer", 5, 0) is None


def test_the_token_of_the_status_api_is_sent_and_a_missing_one_is_named(
    stack: ProcessStack, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(request: Request) -> None:
        if request.headers["Authorization"] == "Bearer a-token-of-16-signs":
            answer(request)
        else:
            request.reply(401)

    web.answer = locked
    with pytest.raises(StackError, match=r"asks for a token: set NEWSROOM_STATUS_TOKEN as it was at its start"):
        once(stack)
    assert assignment(web.url, "avro-consumer") is None
    monkeypatch.setenv("NEWSROOM_STATUS_TOKEN", "a-token-of-16-signs")
    assert assignment(web.url, "avro-consumer") is not None
    assert once(stack) == 0


def test_members_of_one_name_are_told_apart(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.MEMBERS", [member | {"instance_id": None} for member in MEMBERS])
    result = assignment(web.url, "avro-consumer")
    assert result is not None
    assert list(result.owners) == ["consumer m-one", "consumer m-two"]
    assert compact(["a[0]", "b[1]", "a[2]"]) == ["a[0,2]", "b[1]"]


def test_in_a_pipe_top_prints_plain_lines_once(stack: ProcessStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert once(stack) == 0
    assert capsys.readouterr().out.splitlines() == [
        "topic news: 5.0 /s in",
        "topic word: - /s in",
        "group avro-consumer: Stable, 4.0 /s out, lag 1,234",
        "  c-1: news[0,1]",
        "  c-2: news[2]",
    ]


def test_top_without_a_status_api_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEWSROOM_HOME", str(tmp_path))
    monkeypatch.setattr("newsroom_stack.ports.Ports.status_url", f"http://{NOBODY}", raising=False)
    assert cli.main(["top"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_the_events_of_other_kinds_are_left_out(web: Web) -> None:
    assert list(events(web.url)) == [FIGURES]
    assert list(events(web.url, "rebalance")) == [{}]


@pytest.fixture
def calls(stack: ProcessStack, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the stack is asked to do."""
    calls: list[tuple[object, ...]] = []

    def note(*call: object) -> list[str]:
        calls.append(call)
        return [f"done: {call[0]}"]

    for verb in ("scale", "pause", "resume", "kill", "restart"):
        monkeypatch.setattr(stack, verb, partial(note, verb))
    return calls


def test_keys_act_on_the_chosen_instance(stack: ProcessStack, calls: list[tuple[object, ...]]) -> None:
    view = View(instances=[an_instance("a-1", "a"), an_instance("a-2", "a"), an_instance("b-1", "b")], chosen=4)
    for key in ("+", "-", "p", "r", "k", "s"):
        action = action_of(key, stack, view)
        assert action is not None
        action[1]()
    assert calls == [
        ("scale", "a", 3),
        ("scale", "a", 1),
        ("pause", "a-2"),
        ("resume", "a-2"),
        ("kill", "a-2"),
        ("restart", "a-2"),
    ]
    assert action_of("x", stack, view) is None
    assert action_of("k", stack, View()) is None


class Terminal:
    """A terminal of the machine, with `newsroom top` in a thread: what it shows, and keys to press."""

    def __init__(self, stack: ProcessStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self._keyboard, self._screen = pty.openpty()
        self.mode = termios.tcgetattr(self._screen)
        self._files = [os.fdopen(os.dup(self._screen), mode, encoding="utf-8") for mode in ("r", "w")]
        monkeypatch.setattr("sys.stdin", self._files[0])
        console = Console(file=self._files[1], force_terminal=True, width=120, height=40)
        monkeypatch.setattr(top_module, "console", lambda: console)
        self.text = ""
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=_live, args=(stack,))]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is closed
            while data := os.read(self._keyboard, 65536):
                self.text += data.decode(errors="replace")

    def press(self, key: str) -> None:
        os.write(self._keyboard, key.encode())

    def close(self) -> list[object]:
        """Quit; how the terminal was left."""
        self.press("q")
        self._threads[1].join(20)
        assert not self._threads[1].is_alive()
        mode = termios.tcgetattr(self._screen)
        for file in self._files:
            file.close()
        os.close(self._screen)
        self._threads[0].join(20)
        os.close(self._keyboard)
        return mode


def test_in_a_terminal_each_key_acts_at_once_and_says_so(
    stack: ProcessStack, calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "ps", lambda: [an_instance("a-1", "a"), an_instance("b-1", "b")])
    terminal = Terminal(stack, monkeypatch)
    wait_for("the first instance and the figures", lambda: "a-1" in terminal.text and "1,234" in terminal.text)

    def act(key: str, *call: object) -> None:
        terminal.press(key)
        wait_for(f"{call}", lambda: calls[-1:] == [call])
        wait_for("its answer", lambda: f"done: {call[0]}" in terminal.text)

    def choose(key: str, name: str) -> None:
        terminal.press(key)
        wait_for(f"{name} is chosen", lambda: CHOSEN.findall(terminal.text)[-1] == name)

    act("p", "pause", "a-1")
    choose("\x1b[A", "b-1")
    act("r", "resume", "b-1")
    act("+", "scale", "b", 2)
    act("-", "scale", "b", 0)
    choose("\x1b[B", "a-1")
    act("k", "kill", "a-1")
    act("s", "restart", "a-1")
    assert len(calls) == 6
    assert terminal.close() == terminal.mode


def test_the_picture_has_owners_lag_and_says_when_it_is_old(web: Web) -> None:
    group = assignment(web.url, "avro-consumer")
    assert group is not None
    console = Console(width=120, record=True, file=io.StringIO())
    view = View(FIGURES, [group], [an_instance("a-1", "a")], message="scaled", silent="")
    console.print(picture(view))
    text = console.export_text()
    for part in ("03:04:05 UTC", "1,234", "c-1: news[0,1]", "a-1", "scaled", "5.0 /s", "q quit"):
        assert part in text
    assert text.splitlines()[1].startswith("a-1: ")
    console.print(picture(View(silent="gone")))
    assert "old: gone" in console.export_text()


def test_lines_of_a_member_without_a_partition() -> None:
    idle = status_module.Assignment("avro-consumer", "Stable", {"c-1": []}, {})
    assert list(lines(FIGURES, [idle]))[-1] == "  c-1: no partition"
    assert "fewer partitions than members" in list(assignment_lines(idle))[-1]


def test_a_status_api_that_ends_before_a_snapshot_is_one_sentence(stack: ProcessStack, web: Web) -> None:
    web.answer = lambda request: request.reply(503)
    with pytest.raises(StackError, match="before it sent a snapshot"):
        once(stack)
