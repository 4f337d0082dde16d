"""One round of a task: runs a learner's program on the real cluster, disturbs it, and collects what it left."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom.topics import MIN_INSYNC_REPLICAS
from newsroom_lab import programs
from newsroom_lab.write.crew import Crew
from newsroom_lab.write.feeding import Feeder
from newsroom_lab.write.gate import Gate
from newsroom_lab.write.headlines import schemas_of
from newsroom_lab.write.task import SESSION_MS, Act, Evidence, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from newsroom_lab.lab import Lab
    from newsroom_lab.write.task import Round, Task
    from newsroom_stack.pipeline.observe import Record

PARTITIONS = 3
PORTIONS = 30
"""The input comes in so many portions, with what happens to the program between them."""

PORTION_SECONDS = 0.15
"""The pause between two portions: all of them take five seconds, so that what happens meets a program at work."""

FIRST_EFFECT_SECONDS = 60.0
"""On a busy machine a JVM that compiles the program first needs half a minute until the first record."""

READY_SECONDS = 15.0
ENDS_SECONDS = 120.0
QUIET_SECONDS = 55.0
"""Without a session of its own, a client's member that was killed keeps its partitions for 45 seconds."""

STILL_SECONDS = 30.0
"""Enough where no partition is held by a member that is gone."""

DEATHS = 5
"""After so many members that ended by themselves, the program has failed, and more of them say nothing new."""

COMMITTED_SECONDS = 5.0
"""A coordinator that has just moved may not know a group's commits for a moment."""

LOOK_SECONDS = 0.5
CALM_SECONDS = 2.0
"""Nothing changes for so long after the last commit: the effects are there, too."""

FROZEN_SECONDS = SESSION_MS / 1000 + 3
AWAY_SECONDS = 10.0
"""For how long the registry is away after the program has asked it for the first time."""

AIMS = 8
AIM_SECONDS = 0.3
"""So often, and at most this long after each portion, the lab looks for a member in the middle of its work."""


class Passage:
    """One round as it goes."""

    def __init__(
        self,
        task: Task,
        chosen: Round,
        command: tuple[str, ...],
        chance: Random,
        show: Callable[[str], None],
    ) -> None:
        self._task = task
        self._round = chosen
        self._command = command
        self._chance = chance
        self._show = show
        self._start = time.monotonic()
        self._later: list[tuple[int, Callable[[], object]]] = []
        self.timeline: list[tuple[float, str]] = []
        self.lines: Sequence[str] = ()

    def _note(self, what: str) -> None:
        seconds = time.monotonic() - self._start
        self.timeline.append((seconds, what))
        self._show(f"{seconds:6.1f} s  {what}")

    def go(self, lab: Lab) -> Evidence:
        """Run the round and return what it left."""
        self._lab = lab
        folder = lab.folder()
        variables = self._variables()
        self._gate = self._closed_gate(variables) if Act.REGISTRY in self._round.acts else None
        self._setting = Setting(lab, variables, folder, self._round)
        self._task.prepare(self._setting)
        self._names = {name: variables[f"LAB_{name}"] for name in self._task.topics}
        self._group = variables["LAB_GROUP"]
        shared = folder / "shared"
        shared.mkdir()
        variables["LAB_SHARED"] = str(shared)
        environment = {**programs.environment(lab.stack, {}), **variables}
        if "java" in self._command[0]:
            environment["CLASSPATH"] = self._classpath()
        # So `python` is the one that has the libraries, and our own commands are found.
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
        self._crew = crew = Crew(self._command, environment, folder, self._note)
        lab.finally_do(crew.abandon)
        try:
            codes, seconds = ([], self._serve()) if self._task.feed else (self._run_to_end(), 0.0)
        finally:
            self.lines = crew.lines()
        return self._evidence(codes, seconds)

    def _closed_gate(self, variables: dict[str, str]) -> Gate:
        """A program has the schemas once it works: only one that starts needs the registry."""
        gate = Gate(variables["LAB_REGISTRY"])
        self._lab.finally_do(gate.close)
        variables["LAB_REGISTRY"] = gate.url
        return gate

    def _classpath(self) -> str:
        """Kafka's own jars, which have the clients."""
        from newsroom_stack.jvm.artifacts import ensure_artifacts  # noqa: PLC0415 - for Java alone
        from newsroom_stack.jvm.progress import LineProgress  # noqa: PLC0415

        artifacts = ensure_artifacts(self._lab.stack.settings.cache, LineProgress())
        return os.pathsep.join(map(str, artifacts.kafka_classpath))

    def _variables(self) -> dict[str, str]:
        lab, ports, group = self._lab, self._lab.ports, self._lab.group()
        lab.finally_do(lambda: lab.forget(group))
        variables = {
            "LAB_BOOTSTRAP": ports.bootstrap,
            "LAB_REGISTRY": ports.registry_url,
            "LAB_GROUP": group,
            "LAB_SESSION_MS": str(SESSION_MS),
        }
        for name in self._task.topics:
            policy = "compact" if name in self._task.compacted else "delete"
            variables[f"LAB_{name}"] = lab.topic(
                name.lower().replace("_", "-"),
                partitions=PARTITIONS,
                min_insync_replicas=MIN_INSYNC_REPLICAS,
                cleanup_policy=policy,
            )
        return variables

    # A program that ends by itself

    def _run_to_end(self) -> list[int | None]:
        repairs = [self._kill_broker() for act in self._round.acts if act is Act.BROKER]
        self._start_all()
        self._wait_without_registry()
        codes = self._crew.finish(ENDS_SECONDS)
        for repair in repairs:
            repair()
        return codes

    def _start_all(self) -> None:
        for number in range(1, self._round.members + 1):
            self._crew.start(number)

    def _wait_without_registry(self) -> None:
        gate = self._gate
        if gate is None:
            return
        self._lab.sees("the program asks the registry", lambda: gate.refused, FIRST_EFFECT_SECONDS)
        self._note("the registry refuses the program" if gate.refused else "the program does not ask the registry")
        time.sleep(AWAY_SECONDS)
        gate.is_open.set()
        self._note("the registry is back")

    # A program that serves until it is stopped

    def _serve(self) -> float:
        assert self._task.feed is not None
        pairs = self._task.feed(self._chance, self._setting)
        self._start_all()
        self._feeder = Feeder(self._lab.ports.bootstrap, self._names["INPUT"])
        size = max(1, len(pairs) // PORTIONS)
        self._portions = deque(pairs[start : start + size] for start in range(0, len(pairs), size))
        if (ready := self._task.ready) is not None:
            self._lab.sees("the program is ready", lambda: ready(self._setting), READY_SECONDS)
        self._feed()
        self._wait_without_registry()
        self._wait_for_first_effect()
        self._feed_all()
        if not self._hopeless():
            self._note(f"all {len(pairs)} records are sent; the lab waits for the rest of the work")
        self._settle()
        return self._crew.stop()

    def _feed(self) -> None:
        if self._portions:
            self._feeder.send(self._portions.popleft())

    def _hopeless(self) -> bool:
        """Whether the program ends again and again."""
        self._crew.look()
        return len(self._crew.deaths) >= DEATHS

    def _feed_all(self) -> None:
        """Send the input in portions, with what happens to the program between them."""
        all_portions = len(self._portions)
        chosen = [act for act in self._round.acts if act is not Act.REGISTRY]
        left = sorted(self._chance.randrange(PORTIONS // 6, 5 * PORTIONS // 6) for _ in chosen)
        acts = deque(zip(left, chosen, strict=True))
        while self._portions and not self._hopeless():
            self._feed()
            time.sleep(PORTION_SECONDS)
            place = all_portions - len(self._portions)
            if acts and acts[0][0] <= place:
                self._act(acts.popleft()[1], place)
            self._do_later(place)
        for _, act in acts if not self._hopeless() else ():
            self._act(act, PORTIONS)
        self._do_later(10 * PORTIONS)

    def _do_later(self, place: int) -> None:
        for due, action in [entry for entry in self._later if entry[0] <= place]:
            self._later.remove((due, action))
            action()

    def _act(self, act: Act, place: int) -> None:
        numbers = self._crew.numbers
        victim = self._chance.choice(numbers)
        match act:
            case Act.KILL:
                self._aim(victim)
                self._crew.kill(victim)
                self._crew.start(victim)
            case Act.FREEZE:
                self._aim(victim)
                self._crew.freeze(victim)
                time.sleep(FROZEN_SECONDS)
                self._crew.thaw(victim)
            case Act.JOIN:
                self._crew.start(max(numbers) + 1)
            case Act.LEAVE:
                self._crew.leave(victim)
            case _:
                self._later.append((place + PORTIONS // 6, self._kill_broker()))

    def _aim(self, victim: int) -> None:
        """Freeze a member in the middle of its work: what it wrote and what it committed do not agree.

        A kill that meets an idle program shows nothing. The difference is that to the last look, for what was repeated
        earlier stays in the topic.
        """
        before = None
        output = self._names.get("OUTPUT") or self._names["DEAD_LETTERS"]
        for _ in range(AIMS):
            self._feed()
            time.sleep(self._chance.uniform(0, AIM_SECONDS))
            self._crew.hold(victim)
            # Records and not offsets: transactions have markers among these.
            ahead = len(self._lab.read(output)) - self._progress()[1]
            if before is not None and ahead != before:
                return
            before = ahead
            self._crew.release(victim)

    def _kill_broker(self) -> Callable[[], object]:
        """Kill a broker; what brings it back, once."""
        name = f"kafka-{self._chance.randrange(1, 4)}"

        is_away = True

        def bring_back() -> None:
            nonlocal is_away
            if is_away:
                is_away = False
                self._lab.restart(name)
                self._note(f"{name} is back")

        self._lab.finally_do(bring_back)
        self._lab.kill(name)
        self._note(f"{name} is killed")
        return bring_back

    # What the topics say

    def _progress(self) -> tuple[int, int]:
        """Records that the program wrote, and offsets that its group committed."""
        written = sum(self._lab.total(topic) for name, topic in self._names.items() if name not in ("INPUT", "TABLE"))
        return written, sum(self._lab.committed(self._group, self._names["INPUT"]).values())

    def _wait_for_first_effect(self) -> None:
        self._note(f"the lab waits for the first effect, {FIRST_EFFECT_SECONDS:g} s at most")
        self._lab.sees("the first effect", lambda: any(self._progress()) or self._hopeless(), FIRST_EFFECT_SECONDS)
        if not self._hopeless():
            self._note("first effect" if any(self._progress()) else "no effect yet")

    def _settle(self) -> None:
        """Wait until the work is done, or nothing moves any more."""
        end = time.monotonic() + self._task.settle_seconds
        changed, last = time.monotonic(), self._progress()
        while time.monotonic() < end and not self._hopeless():
            time.sleep(LOOK_SECONDS)
            progress = self._progress()
            if progress != last:
                changed, last = time.monotonic(), progress
            still = time.monotonic() - changed
            # A task that says itself when it is settled may have a program that never stops to write.
            calm = still >= CALM_SECONDS or self._task.settled is not None
            enough = QUIET_SECONDS if self._round.acts and self._lag() else STILL_SECONDS
            if still >= enough or (calm and self._done()):
                break
        self._note(self._how_it_settled())

    def _how_it_settled(self) -> str:
        if self._hopeless():
            return f"the program has ended {len(self._crew.deaths)} times by itself: the round is over"
        return "the work is done" if self._done() else f"nothing moves any more, lag {self._lag()}"

    def _done(self) -> bool:
        if self._task.settled is not None:
            return self._task.settled(self._setting)
        return self._lag() == 0

    def _lag(self) -> int:
        return self._lab.lag(self._group, self._names["INPUT"]) if "INPUT" in self._names else 0

    def _committed(self) -> dict[int, int]:
        if "INPUT" not in self._names:
            return {}
        self._lab.sees("commits", lambda: self._lab.committed(self._group, self._names["INPUT"]), COMMITTED_SECONDS)
        return self._lab.committed(self._group, self._names["INPUT"])

    def _evidence(self, codes: Sequence[int | None], stop_seconds: float) -> Evidence:
        records: dict[str, list[Record]] = {name: self._lab.read(topic) for name, topic in self._names.items()}
        committed = self._committed()
        ends = self._lab.ends(self._names["INPUT"]) if "INPUT" in self._names else {}
        return Evidence(
            round=self._round,
            records=records,
            lag=sum(end - committed.get(number, 0) for number, end in ends.items()),
            deaths=self._crew.deaths,
            stop_seconds=stop_seconds,
            codes=codes,
            lines=self.lines,
            schemas=schemas_of(self._lab, self._names["OUTPUT"]) if "LAB_SCHEMA" in self._setting.variables else {},
            committed=committed,
        )
