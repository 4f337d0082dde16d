"""The story of `newsroom demo`: records pass every stage of a real cluster, and each stage is seen to work."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom.errors import NotYet
from newsroom.waiting import need
from newsroom_stack.catalogue import LAB_WRITERS
from newsroom_stack.environment import services_environment
from newsroom_stack.errors import StackError
from newsroom_stack.layout import REPOSITORY, SINK_FILE
from newsroom_stack.pipeline.observe import Observer
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom_stack.interface import Stack

ROUNDS = 6
"""The lab's number of producer runs: every word of its strings is counted six times."""

WORD = "value10"
LABEL = "active"
KEYS = 21
"""The lab's keys, `key0` to `key20`. Each round sends two records for each key."""

STAGE_SECONDS = 60.0
"""Deadline of a stage. Each takes less than five seconds on two cores."""

POLL_SECONDS = 0.3


class StageFailed(StackError):
    """A stage of the story was not seen within its deadline."""


@dataclass(frozen=True)
class Figures:
    """The figures of the demo's last line."""

    headlines: int
    consumed: int
    count: int
    words: int
    connector_lines: int
    seconds: float

    def line(self) -> str:
        """The line that says that every stage worked."""
        return (
            f"pipeline: ok - {self.headlines} headlines in, {self.consumed} consumed, {self.words} words counted, "
            f"{WORD} counted {self.count}, joined ({self.count}, {LABEL}), connector {self.connector_lines} lines, "
            f"in {self.seconds:.0f} s"
        )


class Story:
    """Drives the pipeline through its public interfaces and watches every stage."""

    def __init__(self, stack: Stack, show: Callable[[str], None], *, started: float) -> None:
        self._stack = stack
        self._observer = Observer(stack.ports.bootstrap)
        self._show = show
        self._started = started

    def tell(self) -> Figures:
        """Send records through every stage, and wait until each stage has worked.

        Raises:
            StageFailed: the message names the stage, and what was seen instead.
        """
        # Another command may still be starting the stack.
        self._stage("everything ready", self._unready)
        writers = [instance.name for instance in self._stack.ps() if instance.service in LAB_WRITERS]
        try:
            for name in writers:
                self._stack.pause(name)
            return self._tell()
        finally:
            for name in writers:
                self._stack.resume(name)

    def _tell(self) -> Figures:
        self._stage("headlines", lambda: None if self._total("news") else "0 records in news")
        headlines = self._total("news")
        self._stage("consumed", lambda: _short(self._consumed(), headlines))
        # The counts of earlier runs must be complete before the rounds add six to them.
        self._wait_for_group("wordcount-stream", "mytopic")
        self._wait_for_group("wordcount-stream", "word-deltas")
        before = self._observer.counts()
        self._produce("--rounds", str(ROUNDS))
        expected = {f"value{i}": before.get(f"value{i}", 0) + ROUNDS for i in range(KEYS)}
        self._stage("word count", lambda: self._difference(expected))
        self._wait_for_group("join-service", "word-counts")
        before_join = self._observer.end_offsets("words-joined")
        self._produce(
            "--topic", "word", "--source", "-", "--input-format", "jsonl", stdin={"key": WORD, "value": LABEL}
        )
        result = (WORD, expected[WORD], LABEL)
        missing = f"no {result} in words-joined"
        self._stage("join", lambda: None if result in self._observer.joined(before_join) else missing)
        strings = self._total("mytopic")
        self._stage("connector", lambda: _short(sink_lines(self._stack), strings, " lines"))
        return Figures(
            headlines=self._total("news"),
            consumed=self._consumed(),
            count=expected[WORD],
            words=sum(self._observer.counts().values()),
            connector_lines=sink_lines(self._stack),
            seconds=time.monotonic() - self._started,
        )

    def _stage(self, name: str, missing: Callable[[], str | None]) -> None:
        """Wait until nothing is missing. A question without an answer counts as missing."""

        def attempt() -> None:
            try:
                need(missing())
            except StackError as error:
                raise NotYet(str(error)) from error

        wait_until(
            attempt,
            STAGE_SECONDS,
            lambda missing: StageFailed(f"stage '{name}' was not seen within {STAGE_SECONDS:.0f} s: {missing}"),
            pause=POLL_SECONDS,
        )
        self._show(f"{name}: seen")

    def _wait_for_group(self, group: str, topic: str) -> None:
        ends: dict[int, int] = {}

        def missing() -> str | None:
            # The first end that was read: the service goes on counting headlines, so the end moves.
            ends.update({} if ends else self._observer.end_offsets(topic))
            if self._observer.passed(group, topic, ends):
                return None
            return f"committed {self._observer.committed(group, topic)} of {ends}"

        self._stage(f"{group} past {topic}", missing)

    def _unready(self) -> str | None:
        names = [instance.name for instance in self._stack.ps() if not instance.ready]
        return f"not ready: {', '.join(names)}" if names else None

    def _produce(self, *options: str, stdin: dict[str, str] | None = None) -> None:
        command = [str(Path(sys.executable).parent / "news-producer"), "--format", "string", *options]
        try:
            result = subprocess.run(
                command,
                input=json.dumps(stdin) if stdin else None,
                capture_output=True,
                text=True,
                timeout=STAGE_SECONDS,
                check=False,
                cwd=REPOSITORY,
                # The user's rate is for the stack's own producer.
                env=services_environment(self._stack.ports) | {"NEWSROOM_PRODUCER_RATE": "0"},
            )
        except subprocess.TimeoutExpired as error:
            lines = (error.output or b"").decode(errors="replace").strip().splitlines()
            raise StageFailed(
                f"news-producer did not end within {STAGE_SECONDS:.0f} s: {' '.join(lines[-2:])}"
            ) from error
        lines = (result.stdout + result.stderr).strip().splitlines()
        if result.returncode != 0:
            raise StageFailed(f"news-producer ended with exit code {result.returncode}: {' '.join(lines[-2:])}")
        self._show(f"news-producer {' '.join(options)}: {lines[-1] if lines else 'done'}")

    def _total(self, topic: str) -> int:
        return sum(self._observer.end_offsets(topic).values())

    def _consumed(self) -> int:
        return sum(self._observer.committed("avro-consumer", "news").values())

    def _difference(self, expected: dict[str, int]) -> str | None:
        counts = self._observer.counts()
        missing = {word: counts.get(word, 0) for word, count in expected.items() if counts.get(word, 0) != count}
        for word, count in missing.items():
            return f"{word} is {count} instead of {expected[word]} ({len(missing)} words differ)"
        return None


def sink_lines(stack: Stack) -> int:
    """Lines in the file that the connector writes.

    Raises:
        StackError: there is no such file (yet), or Connect's container does not answer.
    """
    return int(stack.execute("connect", "wc", "-l", SINK_FILE).split()[0])


def _short(number: int, expected: int, unit: str = "") -> str | None:
    return None if number >= expected else f"{number} of {expected}{unit}"
