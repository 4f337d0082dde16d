"""The command line: what it loads, what it prints, and how it ends."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from argcomplete.finders import CompletionFinder

from newsroom import __version__
from newsroom_stack.cli import app as cli
from newsroom_stack.cli.parser import COMMANDS, build_parser
from newsroom_stack.cli.render import instances_table
from newsroom_stack.cli.tools import KAFKA_TOOLS, with_brokers
from newsroom_stack.cluster.names import group_names, topic_names
from newsroom_stack.interface import Instance, State
from newsroom_stack.processes.runfile import Run, mark_of, write_run
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import StackSettings
from support.web import NOBODY

HEAVY = {
    *("pydantic", "pydantic_settings", "structlog", "httpx", "requests", "jgo", "psutil", "rich", "docker", "typer"),
    *("confluent_kafka", "kafka"),
}
"""What takes a tenth of a second and more to import."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEWSROOM_HOME", str(tmp_path))
    monkeypatch.setenv("NEWSROOM_PORT_OFFSET", "200")
    return tmp_path


def newsroom(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "newsroom_stack.cli.app", *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, timeout=60, check=False)


def running(home: Path) -> None:
    """A stack that runs, as far as its state file says."""
    stack = ProcessStack(StackSettings(home=home))
    stack.layout.make()
    pid, mark = os.getpid(), mark_of(os.getpid())
    process = {
        "name": "registry",
        "service": "registry",
        "role": "registry",
        "address": "a",
        "folder": str(home),
        "probe": {"kind": "http", "target": "http://127.0.0.1:9"},
        "state": "running",
        "restarts": 0,
        "pid": pid,
        "mark": mark,
    }
    write_run(stack.layout.run_file, Run(pid, mark, phase="ready", processes=[process]))


@pytest.mark.parametrize("arguments", [["--help"], ["ps"], ["ps", "--json"], ["env"]])
def test_what_is_asked_often_loads_little(home: Path, arguments: list[str]) -> None:
    running(home)
    code = (
        "import sys; from newsroom_stack.cli.app import main\n"
        f"try: main({arguments})\n"
        "finally: print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = ast.literal_eval(done.stdout.splitlines()[-1])
    assert len(done.stdout.splitlines()) > 1
    assert HEAVY & set(modules) == set()


def test_the_help_lists_every_command_in_its_group() -> None:
    text = newsroom("--help").stdout.decode()
    assert newsroom().stdout.decode() == text
    for name in COMMANDS:
        assert f"\n  {name} " in text
    assert text.index("\nRun:\n") < text.index("  scale ") < text.index("\nLook:\n") < text.index("\nBreak:\n")
    assert newsroom("--version").stdout.decode() == f"newsroom {__version__}\n"


@pytest.mark.parametrize("command", ["doctor", "--help", "kafka", "ps"])
def test_a_terminal_that_is_not_utf_8_is_no_reason_to_die(command: str) -> None:
    done = newsroom(command, PYTHONIOENCODING="ascii", LC_ALL="C", COLUMNS="200")
    assert done.stdout
    assert b"UnicodeEncodeError" not in done.stderr
    assert done.returncode in (0, 1)


def test_env_prints_what_a_shell_or_a_program_exports(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env", "--json"]) == 0
    variables = json.loads(capsys.readouterr().out)
    assert variables["NEWSROOM_BOOTSTRAP_SERVERS"] == "localhost:29292,localhost:39292,localhost:49292"
    assert variables["NEWSROOM_REGISTRY_URL"] == "http://localhost:8281/apis/ccompat/v7"
    assert (variables["NEWSROOM_HOME"], variables["NEWSROOM_PORT_OFFSET"]) == (str(home), "200")
    script = newsroom("env", NEWSROOM_HOME=str(home / "it's here")).stdout.decode() + "env"
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env={"PATH": os.defpath}, check=True)
    assert f"NEWSROOM_HOME={home}/it's here\n" in shell.stdout


def test_a_second_start_in_the_background_is_no_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running(home)
    assert cli.main(["up", "--detach"]) == 0
    said = capsys.readouterr().out
    assert f"a stack already runs from {home}" in said
    assert "localhost:29292" in said
    assert cli.main(["up"]) == 1, "in the foreground nobody would own it"


def test_ps_says_why_something_is_not_ready_and_that_the_supervisor_was_killed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running(home)
    assert cli.main(["ps"]) == 0
    said = capsys.readouterr()
    assert "registry is not ready: http://127.0.0.1:9 does not answer (Connection refused)" in said.out
    assert said.err == ""
    write_run(ProcessStack(StackSettings(home=home)).layout.run_file, Run(4711, "", phase="ready"))
    cli.main(["ps", "--json"])
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert "the supervisor (pid 4711) was killed and did not stop the stack" in said.err


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0)], ids=["Ctrl-C", "closed pipe"]
)
def test_a_user_who_ends_a_command_sees_no_trace(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def end() -> None:
        raise error

    monkeypatch.setattr(cli, "open_stack", end)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert cli.main(["kill", "kafka-1"]) == code


def test_the_table_has_colours_only_on_a_terminal() -> None:
    instance = Instance("kafka-1", "kafka", "broker", 7, "a", State.KILLED, ready=False, restarts=0, memory_bytes=0)
    assert "\x1b" not in "".join(instances_table([instance], colour=False))
    assert "\x1b[31mkilled   \x1b[0m" in list(instances_table([instance], colour=True))[1]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs `newsroom kafka` and returns the tool's class and arguments."""
    called: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        called.append(command)
        return subprocess.CompletedProcess(command, 3)

    def launch(_: object, main_class: str, arguments: list[str]) -> object:
        return type("Launch", (), {"argv": [main_class, *arguments], "env": {}})

    monkeypatch.setattr(cli, "download", lambda _: None)
    monkeypatch.setattr("newsroom_stack.jvm.launch.kafka_class", launch)
    monkeypatch.setattr(subprocess, "run", run)

    def call(*arguments: str) -> list[str]:
        assert cli.main(["kafka", *arguments]) == 3, "the tool's own exit code"
        return called.pop()

    return call


def test_a_tool_of_kafka_gets_the_brokers_where_it_takes_them(tool: Callable[..., list[str]]) -> None:
    brokers = ["--bootstrap-server", "localhost:29292,localhost:39292,localhost:49292"]
    assert tool("topics", "--list") == [KAFKA_TOOLS["topics"], *brokers, "--list"]
    assert tool("topics", "--help") == [KAFKA_TOOLS["topics"], *brokers, "--help"]
    assert tool("dump-log", "--files", "a.log") == [KAFKA_TOOLS["dump-log"], "--files", "a.log"]
    for option in ("--bootstrap-server", "--bootstrap-controller=x:1"):
        assert with_brokers("acls", [option, "x:1"], "y:1") == [option, "x:1"]


def test_the_tools_are_listed_and_an_unknown_one_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert cli.main(["kafka", *arguments]) == 0
        said = capsys.readouterr().out
        for name in ("log-dirs", "dump-log", "delete-records", "leader-election", "producer-perf-test", "acls"):
            assert f"\n  {name}\n" in said
    assert cli.main(["kafka", "nix"]) == 1
    assert "there is no tool 'nix': acls, broker-api-versions" in capsys.readouterr().err


ASK_BASH = """
source <(newsroom completion bash)
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete newsroom
echo "${COMPREPLY[@]}"
"""
"""Bash's own variables of a completion, and the function that our command registers."""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("newsroom re", {"resume", "restart", "replay"}),
        ("newsroom groups re", {"reset"}),
        ("newsroom scale avro", {"avro-consumer"}),
        ("newsroom kill regi", {"registry"}),
        ("newsroom up --d", {"--detach"}),
        ("newsroom kafka log", {"log-dirs"}),
        ("newsroom lab sh", {"show"}),
        ("newsroom lab run no-k", {"no-key"}),
        ("newsroom lab run no-key no-k", {"no-key"}),
    ],
)
def test_bash_completes_commands_options_tools_and_the_names_of_what_runs(
    line: str, words: set[str], home: Path
) -> None:
    running(home)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", ASK_BASH, "bash", line],
        env=os.environ | {"PATH": path},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert set(ended.stdout.decode().split()) == words, ended.stderr.decode()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("groups describe r", {"readers"}),
        ("groups reset wr", {"writers"}),
        ("groups reset readers --topic n", {"news", "news.dlq"}),
        ("groups delete r", {"readers"}),
        ("dlq list --topic news.", {"news.dlq"}),
        ("dlq replay --topic news.", {"news.dlq"}),
        ("dlq purge --topic w", {"word"}),
        ("peek w", {"word"}),
        ("label kafka active --topic w", {"word"}),
        ("replay w", {"wordcount-stream"}),
        ("replay wordcount-stream --group w", {"writers"}),
        ("replay wordcount-stream --table w", {"word"}),
    ],
)
def test_the_names_of_groups_and_topics_are_completed(
    line: str, words: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsroom_stack.cluster.names.topic_names", lambda: ["news", "news.dlq", "word"])
    monkeypatch.setattr("newsroom_stack.cluster.names.group_names", lambda: ["readers", "writers"])
    *before, begun = line.split()
    finder = CompletionFinder(build_parser(), always_complete_options=False)
    completions = finder._get_completions(["newsroom", *before], begun, "", None)  # type: ignore[no-untyped-call]
    assert {word.strip() for word in completions} == words


def test_a_cluster_that_does_not_answer_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_BOOTSTRAP_SERVERS", NOBODY)
    monkeypatch.setattr("newsroom_stack.cluster.connection.CONNECT_SECONDS", 0.3)
    assert (topic_names(), group_names()) == ([], [])
