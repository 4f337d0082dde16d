"""What a kill at each place does to the records, in each mode: every cell of the table in docs/delivery.md."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from newsroom_stack.layout import REPOSITORY
from support.pipeline import ProcessPipeline

pytestmark = pytest.mark.timeout(240)

BATCH, BATCHES = 10, 3
VALUES = [f"value-{number:02}" for number in range(BATCH * BATCHES)]

PLACES = ("before the effect", "after the effect", "before the commit", "after the commit")
NO_PLACE = "\N{EN DASH}"
ROW = re.compile(r"^\| `(?P<mode>[a-z-]+)` \| (?P<cells>[^|]+ \| [^|]+ \| [^|]+ \| [^|]+) \|$", re.MULTILINE)
TABLE = {
    (row["mode"], place): cell.strip()
    for row in ROW.finditer((REPOSITORY / "docs" / "delivery.md").read_text(encoding="utf-8"))
    for place, cell in zip(PLACES, row["cells"].split(" | "), strict=True)
}
CELLS = [place for place, cell in TABLE.items() if cell != NO_PLACE]

PAUSES = {("auto", "before the effect"): ":4"}
"""Seconds at a place before the kill: the client commits each second meanwhile."""

OPTIONS = {
    "auto": {
        "before the effect": ("--auto-commit-interval", "1"),
        "after the effect": ("--auto-commit-interval", "3600"),
    }
}


class Reader:
    """An avro-consumer of one topic that is killed and starts again, with the effects of all its runs."""

    def __init__(
        self, pipeline: ProcessPipeline, folder: Path, topic: str, mode: str, options: tuple[str, ...]
    ) -> None:
        self._pipeline = pipeline
        self._state = folder / "state"
        self._sink = folder / "sink"
        self._mode = mode
        # A static member gets its partition back at once, not when the session of the dead one is over.
        own = ("--static-membership", "--state-dir", str(self._state), "--group", topic, "--batch-size", str(BATCH))
        effect = () if mode == "exactly-once" else ("--sink", str(self._sink))
        place = ("--topic", topic, "--format", "string", "--delivery", mode)
        self._command = (str(Path(sys.executable).parent / "avro-consumer"), *place, *own, *effect, *options)

    def run(self, crash_at: str = "") -> int:
        """Read to the end of the topic, or to the crash point; return the exit code."""
        done = subprocess.run(
            [*self._command, "--until-end"],
            env={**self._pipeline.environment(), "NEWSROOM_CRASH_AT": crash_at},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode in {0, -signal.SIGKILL}, done.stdout + done.stderr
        return done.returncode

    def effects(self) -> Counter[str]:
        """The values that took effect, and how often."""
        if self._mode == "exactly-once":
            with closing(sqlite3.connect(self._state / "consumed.sqlite")) as database:
                rows = database.execute("select record_value from consumed_records").fetchall()
            return Counter(json.loads(value) for (value,) in rows)
        lines = [line for file in self._sink.glob("*.jsonl") for line in file.read_text().splitlines()]
        return Counter(json.loads(line)["value"] for line in lines)


def judgement(effects: Counter[str], before_the_kill: int) -> str:
    """What the kill has done, in the words of the table."""
    assert set(effects) <= set(VALUES)
    lost = [value for value in VALUES if value not in effects]
    repeated = sum(effects.values()) - len(effects)
    if not lost and not repeated:
        return "exact"
    if lost and not repeated:
        assert lost == VALUES[BATCH : 2 * BATCH]
        return "one batch lost"
    assert not lost
    if repeated == before_the_kill:
        return "everything repeated"
    assert repeated == BATCH
    return "one batch repeated"


def test_the_table_has_every_mode_and_place() -> None:
    assert {mode for mode, _ in TABLE} == {"at-least-once", "at-most-once", "exactly-once", "never", "auto"}
    assert len(CELLS) == 16


@pytest.mark.parametrize(("mode", "place"), CELLS, ids=lambda word: word.replace(" the ", "-"))
def test_a_kill_does_what_the_table_says(pipeline: ProcessPipeline, tmp_path: Path, mode: str, place: str) -> None:
    topic = f"delivery-{uuid.uuid4().hex[:8]}"
    pipeline.create_topic(topic)
    pipeline.send(topic, [(b"key", value.encode()) for value in VALUES])
    reader = Reader(pipeline, tmp_path, topic, mode=mode, options=OPTIONS.get(mode, {}).get(place, ()))
    point = place.replace(" the ", "-")
    assert reader.run(f"{point}:2{PAUSES.get((mode, place), '')}") == -signal.SIGKILL
    before_the_kill = reader.effects().total()
    assert reader.run() == 0
    assert judgement(reader.effects(), before_the_kill) == TABLE[mode, place]


def test_until_end_ends_without_a_new_record_too(pipeline: ProcessPipeline, tmp_path: Path) -> None:
    topic = f"until-{uuid.uuid4().hex[:8]}"
    pipeline.create_topic(topic, partitions=3)
    pipeline.send(topic, [(str(number).encode(), b"v") for number in range(20)])
    options = ("--format", "string", "--group", topic, "--state-dir", str(tmp_path), "--until-end")
    reads = [pipeline.command("avro-consumer", "--topic", topic, *options) for _ in range(2)]
    assert [read.code for read in reads] == [0, 0], reads
    assert [read.output.count("Reading :") for read in reads] == [20, 0]


def test_until_end_ends_behind_the_markers_of_transactions(pipeline: ProcessPipeline, tmp_path: Path) -> None:
    pipeline.rounds(1)
    pipeline.quiet()
    options = ("--format", "string", "--group", f"until-{uuid.uuid4().hex[:8]}", "--state-dir", str(tmp_path))
    read = pipeline.command("avro-consumer", "--topic", "word-counts", *options, "--until-end")
    assert read.code == 0, read.output
    assert read.output.count("Reading :") >= 21


def test_a_line_of_the_json_log_has_the_record_as_fields(pipeline: ProcessPipeline, tmp_path: Path) -> None:
    topic = f"fields-{uuid.uuid4().hex[:8]}"
    pipeline.create_topic(topic)
    pipeline.send(topic, [(b"k0", b"v0"), (None, b"v1")])
    options = ("--format", "string", "--group", topic, "--state-dir", str(tmp_path), "--log-format", "json")
    read = pipeline.command("avro-consumer", "--topic", topic, *options, "--count", "2")
    lines = [json.loads(line) for line in read.output.splitlines()]
    records = [line for line in lines if line["event"].startswith("Reading :")]
    fields = ("topic", "partition", "offset", "key")
    assert [tuple(line[field] for field in fields) for line in records] == [(topic, 0, 0, "k0"), (topic, 0, 1, None)]
