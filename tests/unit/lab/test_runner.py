"""What becomes of a run, whatever happens in it; and the programs that an experiment runs."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from newsroom_lab import cli, programs
from newsroom_lab.experiment import Experiment, Number, Section
from newsroom_lab.lab import Lab, NotSeen
from newsroom_lab.programs import ProgramFailed, Running, excerpt, shell_line
from newsroom_lab.record import Outcome, Shown, Verdict
from newsroom_lab.runner import UnknownAnswer, run_experiment
from newsroom_stack.interface import Stack
from newsroom_stack.ports import Ports
from newsroom_stack.settings import StackSettings
from support.waiting import wait_for

STACK = cast("Stack", SimpleNamespace(ports=Ports(7000), ps=list, settings=StackSettings()))


def run(steps: Any, wrong: str = "") -> Any:  # noqa: ANN401 - shorthand
    experiment = Experiment(Section.TOPICS, (), "?", Number("s"), steps, "why", {"less": {"least": 5}}, name="x")
    return run_experiment(experiment, STACK, wrong=wrong)


def test_a_wrong_answer_changes_the_steps() -> None:
    def steps(lab: Lab, least: int = 3) -> None:
        lab.holds("three are enough", least <= 3, least)

    assert run(steps).verdict is Verdict.PASS
    assert run(steps, "less").verdict is Verdict.FAIL
    with pytest.raises(UnknownAnswer, match="x has no wrong answer 'more': less"):
        run(steps, "more")


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (NotSeen("topic t: nothing came"), "topic t: nothing came"),
        (KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR)), "the cluster refused: Broker: Invalid"),
        (TimeoutError("late"), "TimeoutError: late"),
    ],
)
def test_an_experiment_that_breaks_says_why_and_cleans_up(error: Exception, trouble: str) -> None:
    done: list[str] = []

    def steps(lab: Lab) -> None:
        lab.finally_do(lambda: done.append("cleaned"))
        raise error

    outcome = run(steps)
    assert outcome.verdict is Verdict.BROKEN
    assert outcome.trouble.startswith(trouble)
    assert done == ["cleaned"]


def test_a_command_is_shown_as_it_can_be_typed() -> None:
    assert shell_line(("a", "--key", "my key"), None, {"X": "1 2"}) == "X='1 2' a --key 'my key'"
    assert shell_line(("a", "-"), '{"k": 1}', {}) == """echo '{"k": 1}' | a -"""
    assert shell_line(("a", "-"), "one\ntwo\n", {}) == "printf one … | a -"
    lines = ("a", "b", "c", "d", "e", "2026-11-26T18:39:22.04Z [info] news_producer.run: finished sent=10")
    assert excerpt(lines) == ["… 1 lines", "b", "c", "d", "e", "finished sent=10"]


@pytest.mark.parametrize(
    ("docker", "command"), [(False, "newsroom kill kafka-3"), (True, "newsroom --docker kill kafka-3")]
)
def test_what_is_done_to_the_stack_is_shown_as_a_command_for_it(*, docker: bool, command: str) -> None:
    done: list[str] = []
    settings = StackSettings(docker=docker)
    ready = [SimpleNamespace(ready=True, role="broker"), SimpleNamespace(ready=False, role="tool")]
    stack = SimpleNamespace(
        ports=Ports(7000), ps=lambda: ready, settings=settings, kill=done.append, restart=done.append
    )
    outcome = Outcome("x")
    with Lab(cast("Stack", stack), outcome, lambda _: None) as lab, lab.away("kafka-3"):
        assert done == ["kafka-3"]
    assert done == ["kafka-3", "kafka-3"]
    assert outcome.events == [Shown(command), Shown(command.replace("kill", "restart"))]


def test_a_broker_that_recovers_for_longer_than_the_stack_waits_is_waited_for() -> None:
    looks: list[bool] = []

    def ps() -> list[Any]:
        looks.append(len(looks) > 1)
        return [SimpleNamespace(name="kafka-3", service="kafka", ready=looks[-1], role="broker")]

    def restart(_: str) -> None:
        raise NotSeen("kafka-3 was not ready within 60 s")

    stack = SimpleNamespace(ports=Ports(7000), ps=ps, settings=StackSettings(), restart=restart)
    with Lab(cast("Stack", stack), Outcome("x"), lambda _: None) as lab:
        lab.restart("kafka-3")
    assert looks == [False, False, True]


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "program", lambda _: sys.executable)


@pytest.mark.usefixtures("python")
def test_a_program_runs_beside_and_its_lines_are_kept() -> None:
    code = "import time\nprint('one 1', flush=True)\nprint('{\"two\": 2}', flush=True)\ntime.sleep(60)"
    started = Running(("python", "-c", code), dict(os.environ))
    wait_for("its lines", started.records, 20)
    assert started.records() == [{"two": 2}]
    assert [match[1] for _, match in started.moments(r"one (\d)")] == ["1"]
    with pytest.raises(ProgramFailed, match=r"still runs after 0\.1 s"):
        started.wait(0.1)
    assert started.code is None
    assert started.stop() == -15


@pytest.mark.usefixtures("python")
def test_a_program_that_does_not_end_or_say_what_is_wanted_is_an_error() -> None:
    with pytest.raises(ProgramFailed, match=r"did not end within 0\.5 s"):
        programs.run(("python", "-c", "import time; time.sleep(60)"), dict(os.environ), stdin=None, seconds=0.5)
    ended = programs.run(("python", "-c", "print(input())"), dict(os.environ), stdin="hello", seconds=20)
    assert (ended.code, ended.lines) == (0, ("hello",))
    with pytest.raises(ProgramFailed, match="no 'bye' in the output: hello"):
        ended.search("bye")


def test_the_command_line_lists_shows_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEWSROOM_HOME", str(tmp_path))
    assert cli.main(["list"]) == 0
    assert cli.main(["show", "no-key"]) == 0
    assert cli.main(["run"]) == 1
    assert cli.main(["run", "--section", "nonsense"]) == 1
    assert cli.main(["quiz"]) == 1
    output = capsys.readouterr()
    for text in ("Topics, partitions, keys", "no-key", "--wrong 'each record goes to a partition of its own'"):
        assert text in output.out
    for text in ("name experiments, or use --quick or --all", "no section begins with 'nonsense'", "in a terminal"):
        assert text in output.err
