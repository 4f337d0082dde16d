"""The supervisor's children, as small real processes: readiness, deaths, commands, stop."""

import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import psutil
import pytest
from typing_extensions import override

from newsroom.waiting import RESTORING, StopFlag, Stopped
from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.jvm.launch import Launch
from newsroom_stack.layout import Layout
from newsroom_stack.probes import Probe
from newsroom_stack.processes import crew as crew_module
from newsroom_stack.processes.child import Child
from newsroom_stack.processes.commands import Commands
from newsroom_stack.processes.crew import Crew
from newsroom_stack.processes.plan import Plan, ProcessSpec
from support.waiting import wait_for

SLEEPS = "print('started', flush=True); import time; time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS
SAYS_BYE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], 'a').write(sys.argv[2] + '\\n'), sys.exit(0)))
print('started', flush=True)
while True:
    time.sleep(0.01)
"""


@dataclass(frozen=True)
class LogProbe(Probe):
    """Ready when the process has written `started`."""

    @override
    def missing(self) -> str | None:
        started = Path(self.target).exists() and "started" in Path(self.target).read_text(encoding="utf-8")
        return None if started else "it has not started"


@dataclass
class Ship:
    """A crew with everything around it."""

    folder: Path
    stopping: StopFlag = field(default_factory=StopFlag)
    said: list[str] = field(default_factory=list)
    saves: int = 0

    def __post_init__(self) -> None:
        self.layout = Layout(self.folder)
        self.layout.make()
        self.crew = Crew(self.layout, self.stopping, say=self.said.append, changed=self._changed)
        self.commands = Commands(self.crew, cast("Plan", self))

    def _changed(self) -> None:
        self.saves += 1

    def spec(self, name: str, code: str, *arguments: str, role: str = "service", deadline: float = 10) -> ProcessSpec:
        launch = Launch(name, (sys.executable, "-c", code, *arguments), dict(os.environ), self.folder)
        service = name.rpartition("-")[0]
        return ProcessSpec(
            name, service, role, launch, "nowhere", LogProbe("http", str(self.layout.log(name))), deadline
        )

    def service(self, name: str, replica: int) -> ProcessSpec:
        """What a plan does for `scale`."""
        return self.spec(f"{name}-{replica}", SLEEPS)

    def add(self, name: str, code: str = SLEEPS, *arguments: str, role: str = "service") -> Child:
        child = self.crew.add(self.spec(name, code, *arguments, role=role))
        self.crew.wait_ready([child])
        return child

    def look_after_until(self, condition: Callable[[], bool]) -> None:
        def attempt() -> bool:
            self.crew.look_after()
            return condition()

        wait_for("what the crew looks after", attempt, 20)


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ship]:
    monkeypatch.setattr(crew_module, "RESTART_BACKOFF_SECONDS", (0.01, 0.02))
    made = Ship(tmp_path)
    yield made
    for child in made.crew.children:
        child.signal(signal.SIGKILL)
        child.wait(5)


def test_a_member_is_running_once_it_is_ready_and_others_are_told(ship: Ship) -> None:
    child = ship.crew.add(ship.spec("a-1", SLEEPS))
    assert child.state is State.STARTING
    waited_for: list[str] = []
    ship.crew.wait_ready([child], tell=waited_for.append)
    assert (child.state, waited_for, ship.saves) == (State.RUNNING, ["a-1"], 2)
    assert ship.said[0].startswith("a-1: ready in ")


@pytest.mark.parametrize(
    ("role", "code", "restarts"), [("service", 3, 2), ("broker", 3, 0), ("service", 2, 2), ("service", 78, 0)]
)
def test_a_member_that_cannot_start_is_shown_with_its_last_lines(
    ship: Ship, role: str, code: int, restarts: int
) -> None:
    child = ship.crew.add(ship.spec("a-1", f"import sys; print('no such topic'); sys.exit({code})", role=role))
    with pytest.raises(StackError, match=rf"(?s)a-1 ended with exit code {code} while starting:.*no such topic"):
        ship.crew.wait_ready([child])
    assert child.restarts == restarts


def test_a_service_may_die_while_it_starts(ship: Ship) -> None:
    mark = ship.folder / "was-here"
    dies_once = f"import pathlib; mark = pathlib.Path({str(mark)!r}); seen = mark.exists(); mark.touch(); assert seen\n"
    child = ship.crew.add(ship.spec("a-1", dies_once + SLEEPS))
    ship.crew.wait_ready([child])
    assert (child.state, child.restarts) == (State.RUNNING, 1)
    assert "a-1 is started again in 0.01 s" in ship.said


def test_a_member_that_is_never_ready_is_named_with_what_was_seen(ship: Ship) -> None:
    child = ship.crew.add(ship.spec("a-1", "import time; time.sleep(60)", deadline=0.3))
    with pytest.raises(StackError, match=r"a-1 was not ready within 0 s: it has not started"):
        ship.crew.wait_ready([child])


@dataclass(frozen=True)
class RestoreProbe(Probe):
    """A stream that has so many steps of its restore before it, and stands still at the last one if that is not 0."""

    steps: list[int]

    @override
    def missing(self) -> str | None:
        step = self.steps.pop() if len(self.steps) > 1 else self.steps[0]
        return f"{RESTORING}: at {step} of 99" if step else None


def test_a_large_state_may_take_longer_than_the_deadline_while_it_is_restored(ship: Ship) -> None:
    spec = ship.spec("a-1", "import time; time.sleep(60)", deadline=0.3)
    probe = RestoreProbe("http", "nowhere", list(range(14)))
    ship.crew.wait_ready([ship.crew.add(replace(spec, probe=probe))])
    assert any("a-1: restoring the state from its changelog: at " in line for line in ship.said)
    stuck = ship.crew.add(replace(spec, name="a-2", probe=RestoreProbe("http", "nowhere", [4])))
    with pytest.raises(StackError, match=r"a-2 was not ready within 0 s: restoring .* at 4 of 99"):
        ship.crew.wait_ready([stuck])


@dataclass(frozen=True)
class ConnectProbe(Probe):
    """A connector whose task is in each of these states in turn, and then in the last one."""

    states: list[str]

    @override
    def missing(self) -> str | None:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return None if state == "RUNNING" else f"task 0 of connector sink is {state}: org.Error: no such file"


def test_a_task_that_stays_failed_ends_the_wait_with_its_reason(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "FAILED_SECONDS", 0.4)
    spec = ship.spec("connect", "import time; time.sleep(60)", deadline=30)
    passing = ConnectProbe("connect", "nowhere", ["FAILED", "UNASSIGNED", "FAILED", "RUNNING"])
    ship.crew.wait_ready([ship.crew.add(replace(spec, probe=passing))])
    failed = ship.crew.add(replace(spec, name="other", probe=ConnectProbe("connect", "nowhere", ["FAILED"])))
    with pytest.raises(
        StackError, match=r"other is not ready: task 0 of connector sink is FAILED: org\.Error: no such"
    ):
        ship.crew.wait_ready([failed])


def test_a_stop_ends_the_wait(ship: Ship) -> None:
    child = ship.crew.add(ship.spec("a-1", "import time; time.sleep(60)"))
    threading.Timer(0.1, ship.stopping.set).start()
    with pytest.raises(Stopped):
        ship.crew.wait_ready([child])


def test_a_member_that_dies_by_itself_is_started_again(ship: Ship) -> None:
    child = ship.add("a-1")
    first = child.pid
    assert first
    os.kill(first, signal.SIGKILL)
    ship.look_after_until(lambda: child.restarts == 1)
    assert child.pid not in (None, first)
    assert "a-1 was ended by SIGKILL; its last lines:\n    started" in ship.said


def test_a_member_that_dies_again_and_again_stays_down(ship: Ship) -> None:
    child = ship.crew.add(ship.spec("a-1", "raise SystemExit(3)"))
    ship.look_after_until(lambda: child.state is State.FAILED)
    assert child.restarts == 2
    assert ship.said[-1] == "a-1 died 2 times in a row and stays down: 'newsroom restart a-1'"


def test_a_service_whose_cause_a_new_start_does_not_change_stays_down(ship: Ship) -> None:
    mark = ship.folder / "denied"
    waits = f"import pathlib, sys, time\nprint('started', flush=True)\nwhile not pathlib.Path({str(mark)!r}).exists(): "
    child = ship.add("a-1", f"{waits}time.sleep(0.01)\nsys.exit(78)")
    mark.touch()
    ship.look_after_until(lambda: child.state is State.FAILED)
    assert child.restarts == 0
    assert ship.said[-1].endswith(
        "stays down, because a new start would end alike: mend the cause, then 'newsroom restart a-1'"
    )


def test_a_paused_member_that_dies_is_noticed(ship: Ship) -> None:
    child = ship.add("a-1")
    ship.commands.pause("a-1")
    assert child.pid
    process = psutil.Process(child.pid)
    ship.look_after_until(lambda: process.status() == psutil.STATUS_STOPPED)
    os.kill(child.pid, signal.SIGKILL)
    ship.look_after_until(lambda: child.restarts == 1)


def test_killed_it_stays_down_until_it_is_restarted(ship: Ship) -> None:
    child = ship.add("a-1")
    assert ship.commands.kill("a-1") == ["a-1: killed (SIGKILL); it stays down until 'newsroom restart a-1'"]
    ship.crew.look_after()
    assert (child.pid, child.state) == (None, State.KILLED)
    assert ship.commands.restart("a") == ["a-1: restarted and ready"]
    assert child.state is State.RUNNING


def test_pause_and_resume_name_what_they_did(ship: Ship) -> None:
    ship.add("a-1")
    ship.add("a-2")
    assert ship.commands.pause("a") == ["a-1: paused", "a-2: paused"]
    assert ship.commands.resume("a-1") == ["a-1: resumed"]
    assert ship.commands.resume("a-1") == ["a-1 is not paused"]


def test_scale_adds_and_takes_away_the_last(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsroom_stack.processes.commands.service_kind", lambda _: None)
    ship.add("a-1")
    assert ship.commands.scale("a", 3) == ["a: 3 replicas"]
    assert [child.name for child in ship.crew.children] == ["a-1", "a-2", "a-3"]
    gone = ship.crew.children[-1]
    ship.commands.kill("a-2")
    ship.commands.scale("a", 2)
    assert [child.name for child in ship.crew.children if child.pid] == ["a-1", "a-2"]
    assert gone.pid is None


def test_an_unknown_name_is_answered_with_the_known_ones(ship: Ship) -> None:
    ship.add("a-1")
    assert ship.commands.answer("kill", {"name": "b"}) == {"error": "there is no 'b' in this stack: a-1"}


def test_commands_on_different_members_run_side_by_side_and_those_on_one_in_turn(ship: Ship) -> None:
    mark = ship.folder / "may-start"
    slow = f"import pathlib, time\nwhile not pathlib.Path({str(mark)!r}).exists(): time.sleep(0.01)\n"
    first, _ = ship.crew.add(ship.spec("a-1", slow + SLEEPS)), ship.add("b-1")
    with ThreadPoolExecutor(3) as pool:
        waits = pool.submit(ship.commands.answer, "restart", {"name": "a-1"})
        wait_for("the start of a-1", lambda: first.restarts == 1)
        queued = pool.submit(ship.commands.answer, "pause", {"name": "a-1"})
        assert ship.commands.answer("restart", {"name": "b-1"}) == {"lines": ["b-1: restarted and ready"]}
        assert not waits.done()
        assert not queued.done()
        mark.touch()
        assert waits.result(20) == {"lines": ["a-1: restarted and ready"]}
        assert queued.result(20) == {"lines": ["a-1: paused"]}


def test_a_member_outlives_the_thread_of_the_command_that_started_it(ship: Ship) -> None:
    child = ship.add("a-1")
    thread = threading.Thread(target=ship.commands.restart, args=("a-1",))
    thread.start()
    thread.join(20)
    assert child.pid
    assert not child.wait(0.5), "the kernel ends a process on a leash with the thread that started it"


def test_a_command_starts_nothing_once_the_stack_stops(ship: Ship) -> None:
    child = ship.add("a-1")
    ship.stopping.set()
    assert ship.commands.answer("restart", {"name": "a-1"}) == {"error": "the stack is being stopped"}
    with pytest.raises(Stopped):
        ship.crew.add(ship.spec("a-2", SLEEPS))
    ship.crew.stop_all()
    ship.crew.look_after()
    assert child.pid is None


def test_clients_stop_before_what_they_write_to(ship: Ship) -> None:
    diary = ship.folder / "diary"
    for name, role in (("kafka-1", "broker"), ("registry", "registry"), ("connect", "connect"), ("a-1", "service")):
        ship.add(name, SAYS_BYE, str(diary), role, role=role)
    ship.crew.stop_all()
    order = diary.read_text().split()
    assert sorted(order[:2]) == ["connect", "service"]
    assert order[2:] == ["registry", "broker"]
    assert {child.state for child in ship.crew.children} == {State.EXITED}


def test_who_does_not_stop_in_time_is_killed_and_a_paused_one_is_let_go_on(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "STOP_SECONDS", defaultdict(lambda: 0.5))
    ship.add("a-1", STUBBORN)
    paused = ship.add("a-2", SAYS_BYE, str(ship.folder / "diary"), "a-2")
    ship.commands.pause("a-2")
    ship.crew.stop_all()
    assert ship.said[-1] == "a-1 did not stop within 0.5 s and is killed"
    assert (ship.folder / "diary").read_text() == "a-2\n"
    assert paused.exit_code() == 0


def test_the_last_broker_whose_logs_are_closed_is_not_waited_for(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "STOP_SECONDS", {"broker": 30.0})
    last = ship.add("kafka-1", STUBBORN, role="broker")
    marker = ship.layout.data / "kafka-1" / "log" / ".kafka_cleanshutdown"
    marker.parent.mkdir(parents=True)
    marker.touch()
    ship.crew.stop_all()
    assert last.pid is None
    assert not [line for line in ship.said if "killed" in line]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children of a dead parent; others at the next up")
def test_a_member_ends_with_its_supervisor_however_that_ends() -> None:
    parent = (
        "import os, subprocess, sys, time; from newsroom_stack.processes.child import leashed; "
        "print(subprocess.Popen(leashed(['sleep', '60'])).pid, flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout
    member = psutil.Process(int(supervisor.stdout.readline()))
    # Before it has become the command, it would notice by itself.
    wait_for("the command", lambda: member.name() == "sleep", 20)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    psutil.wait_procs([member], timeout=5)
    assert not member.is_running() or member.status() == psutil.STATUS_ZOMBIE
