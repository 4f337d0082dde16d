"""How long a topic keeps its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, retention: int = 2000) -> None:
    """Let a topic keep records for two seconds, and read it with a group that has been away."""
    topic = lab.topic()
    group = lab.group()
    lab.step("Read the first ten of 42 records, and stop")
    lab.run("news-producer", "--format", "string", "--topic", topic)
    lab.run(*lab.consumer(topic, group, "--format", "string", "--count", "10"))
    away = lab.lag(group, topic)

    lab.step(f"Change the topic: keep records for {retention} ms, in segments of one second")
    lab.kafka(
        "configs", "--alter", "--entity-type", "topics", "--entity-name", topic,
        "--add-config", f"retention.ms={retention},segment.ms=1000",
    )  # fmt: skip
    deleted = lab.sees("the first record is gone", lambda: lab.starts(topic)[0] > 0, 45)
    start = lab.starts(topic)[0]
    offsets = {"first offset there": start, "committed by the group": 10, "end": lab.total(topic)}
    lab.bars("offsets of the topic", offsets)
    lab.holds("the broker has deleted old records", deleted, f"the first offset is {start}")

    lab.step("Keep records for an hour again, send another round, and let the group come back")
    lab.kafka(
        "configs", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "retention.ms=3600000"
    )
    lab.run("news-producer", "--format", "string", "--topic", topic)
    back = lab.run(*lab.consumer(topic, group, "--format", "string", "--idle-exit", "4"))
    read = sum(line.startswith("Value :") for line in back.lines)
    lab.answer(away, f"{away} records were unread when they were deleted; the group read {read} later ones")
    warnings = [line for line in back.lines if "deleted" in line or "gone" in line]
    lab.holds("the group missed what was deleted, and was told", warnings, " ".join(warnings[:1]))
    lab.holds("it read what came later, and nothing else", read == 42, f"read {read}")


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(12,),
    question=(
        "retention.ms is shortened while a consumer group is away and has not read everything. What does the "
        "group get when it comes back?"
    ),
    predict=Choice(
        (
            "an error, until someone resets its offsets",
            "everything: unread records are kept for it",
            "what is still there; the deleted records are lost for it",
        ),
        right=2,
    ),
    steps=steps,
    why="""A broker deletes whole segments when their newest record is older than retention.ms, whether anyone has
    read them or not. A committed offset below the new start is out of range, so auto.offset.reset decides
    where the group goes on. Longer retention costs disk on each replica, and a restart from the beginning
    takes longer. (delete.retention.ms is another thing: how long tombstones stay in a compacted topic.)""",
    wrong={"the retention stays as it was": {"retention": 3_600_000}},
    terms=("retention", "committed offset"),
)
