"""What a crash in the middle leaves behind."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

RECORDS = 30
BATCH = 10


def steps(lab: Lab, *, mode: str = "exactly-once") -> None:
    """Kill a consumer with kill -9 in its second batch, at two places, in each mode, and count the effects."""
    rows, seen = [], {}
    for delivery in dict.fromkeys(("at-most-once", "at-least-once", mode)):
        for place in ("before-effect", "after-effect"):
            topic, group = lab.topic(f"{delivery}-{place}"), lab.group(f"{delivery}-{place}")
            lab.run("news-producer", "--format", "string", "--topic", topic, "--count", str(RECORDS), "--key", "none")
            lab.step(
                f"{delivery}: kill the consumer {place.replace('-', ' the ')} of its second batch, and start it again"
            )
            effects = _effects(lab, topic, group, delivery, place)
            missing, repeated = RECORDS - len(set(effects)), len(effects) - len(set(effects))
            seen[delivery, place] = (missing, repeated)
            rows.append((delivery, place, missing, repeated))
    lab.table(f"of {RECORDS} records", ("--delivery", "killed", "lost", "repeated"), rows)
    lost, again = seen["at-most-once", "before-effect"][0], seen["at-least-once", "after-effect"][1]
    lab.answer(again, f"at most once lost {lost}, at least once repeated {again}, {mode} neither")
    lab.holds("at most once loses a batch when it dies before the effect", lost == BATCH, f"{lost} lost")
    lab.holds("at least once repeats a batch when it dies before the commit", again == BATCH, f"{again} repeated")
    both = [seen[mode, place] for place in ("before-effect", "after-effect")]
    lab.holds("exactly once neither loses nor repeats", both == [(0, 0), (0, 0)], f"lost and repeated: {both}")


def _effects(lab: Lab, topic: str, group: str, delivery: str, place: str) -> list[int]:
    """The offsets whose effect is there after a crash and a new start."""
    folder = lab.folder()
    command = [*lab.consumer(topic, group, "--format", "string", "--delivery", delivery, "--batch-size", str(BATCH))]
    command += ["--session-timeout", "2", "--until-end"]
    database = folder / "effects.sqlite"
    command += ["--database", f"sqlite:///{database}"] if delivery == "exactly-once" else ["--sink", str(folder)]
    lab.run(*command, codes=(-9,), NEWSROOM_CRASH_AT=f"{place}:2")
    lab.run(*command, seconds=60)
    if delivery == "exactly-once":
        with closing(sqlite3.connect(database)) as connection:
            return [offset for (offset,) in connection.execute("SELECT record_offset FROM consumed_records")]
    lines = [line for file in folder.glob("consumed-*.jsonl") for line in file.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line)["offset"] for line in lines]


EXPERIMENT = Experiment(
    section=Section.CONSUMER,
    rows=(20, 21),
    question=(
        "A consumer commits after the effect of each batch of ten. It is killed between effect and commit, "
        "and starts again. What happened to that batch?"
    ),
    predict=Choice(("its effect is there once", "its effect is there twice", "its effect is missing"), right=1),
    steps=steps,
    why="""Effect and commit are two writes, and a crash may fall between them. Commit first: at most once, a batch
    may be lost. Effect first: at least once, a batch may be repeated. Exactly once needs both in one
    transaction: here rows and offsets in one database, in the streams results and offsets in one transaction
    of Kafka. If repeating is harmless (an upsert by key), at least once is all you need.""",
    wrong={"at least once is exactly once": {"mode": "at-least-once"}},
    terms=("delivery semantics", "committed offset"),
)
