"""What the crash of a consumer leaves behind, in each of its delivery modes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

RECORDS = 30
BATCH = 10


@dataclass(frozen=True)
class Effects:
    """What became of the records."""

    lost: int
    repeated: int


def crash(lab: Lab, delivery: str, place: str, pause: float = 0) -> Effects:
    """Kill a consumer with kill -9 at a place of its second batch, start it again, and compare effects with records.

    `pause` is how long it stands still before, in seconds.
    """
    suffix = f"{delivery}-{place}"
    topic, group = lab.topic(suffix), lab.group(suffix)
    lab.run("news-producer", "--format", "string", "--topic", topic, "--count", str(RECORDS), "--key", "none")
    folder = lab.folder()
    database = folder / "effects.sqlite"
    command = [*lab.consumer(topic, group, "--format", "string", "--delivery", delivery, "--batch-size", str(BATCH))]
    command += ["--session-timeout", "2", "--until-end"]
    command += ["--database", f"sqlite:///{database}"] if delivery == "exactly-once" else ["--sink", str(folder)]
    lab.run(*command, codes=(-9,), NEWSROOM_CRASH_AT=f"{place}:2" + (f":{pause:g}" if pause else ""))
    lab.run(*command, seconds=60)
    if delivery == "exactly-once":
        with closing(sqlite3.connect(database)) as connection:
            offsets = [offset for (offset,) in connection.execute("SELECT record_offset FROM consumed_records")]
    else:
        files = [file.read_text(encoding="utf-8") for file in folder.glob("consumed-*.jsonl")]
        offsets = [json.loads(line)["offset"] for text in files for line in text.splitlines()]
    return Effects(lost=RECORDS - len(set(offsets)), repeated=len(offsets) - len(set(offsets)))
