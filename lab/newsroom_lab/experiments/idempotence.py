"""What a retry does when only the answer was late."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom_lab.lab import Lab


RECORDS = 1200
PACE = 0.005
PAUSE_SECONDS = 2.5


def steps(lab: Lab, *, idempotent: bool = True) -> None:
    """Freeze the leader for longer than the producer waits for an answer, and count each record afterwards."""
    rows, repeated = [], {}
    for safe in dict.fromkeys((False, idempotent)):
        topic = lab.topic("idempotent" if safe else "plain")
        leader = lab.leader(topic)
        way = "with" if safe else "without"
        lab.step(f"Send {RECORDS} records {way} idempotence, and freeze {leader} for {PAUSE_SECONDS} s")
        pause = threading.Timer(RECORDS * PACE / 3, _freeze, (lab, leader))
        pause.start()
        sending = lab.send(
            topic, _records(), pace=PACE, enable_idempotence=safe, acks="all", socket_timeout_ms=1000,
            request_timeout_ms=1000, max_in_flight=1, linger_ms=5,
        )  # fmt: skip
        pause.join()
        values = [record.value for record in lab.read(topic)]
        repeated[safe] = len(values) - len(set(values))
        rows.append(("on" if safe else "off", sending.acknowledged, len(values), repeated[safe]))
    lab.table("after a leader that stood still", ("idempotence", "acknowledged", "stored", "repeated"), rows)
    lab.answer(repeated[False], f"without idempotence {repeated[False]} of {RECORDS} records are in the topic twice")
    lab.holds("each record is there once", repeated[idempotent] == 0, f"{repeated[idempotent]} repeated")
    lab.holds("nothing is missing", len(set(values)) == RECORDS, f"{len(set(values))} of {RECORDS}")


def _records() -> Iterator[tuple[str, str]]:
    for number in range(RECORDS):
        yield "k", f"record {number}"


def _freeze(lab: Lab, leader: str) -> None:
    lab.stack.pause(leader)
    time.sleep(PAUSE_SECONDS)
    lab.stack.resume(leader)


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(14,),
    question=(
        "A leader answers late, so a producer without idempotence sends 1,200 records' open requests again. "
        "How many records are in the topic twice?"
    ),
    predict=Number("records", within=1.0),
    steps=steps,
    why="""The frozen broker had the request in its socket: it writes the records when it wakes, and the retry writes
    them again. The producer cannot know which of both happened. An idempotent producer numbers its records
    for each partition, and the broker drops a number that it has. It is on by default in Java since Kafka
    3.0, and in these services; in librdkafka you switch it on.""",
    wrong={"a retry is harmless without idempotence": {"idempotent": False}},
    disturbs=True,
    terms=("idempotence",),
)
