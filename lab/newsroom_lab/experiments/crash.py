"""What a crash in the middle leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.crashing import BATCH, RECORDS, crash
from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, mode: str = "exactly-once") -> None:
    """Kill a consumer with kill -9 in its second batch, at two places, in each mode, and count the effects."""
    rows, counts = [], {}
    for delivery in dict.fromkeys(("at-most-once", "at-least-once", mode)):
        for place in ("before-effect", "after-effect"):
            when = place.replace("-", " the ")
            lab.step(f"{delivery}: kill the consumer {when} of its second batch, and start it again")
            effects = crash(lab, delivery, place)
            counts[delivery, place] = (effects.lost, effects.repeated)
            rows.append((delivery, place, effects.lost, effects.repeated))
    lab.table(f"of {RECORDS} records", ("--delivery", "killed", "lost", "repeated"), rows)
    lost, again = counts["at-most-once", "before-effect"][0], counts["at-least-once", "after-effect"][1]
    lab.answer(again, f"at most once lost {lost}, at least once repeated {again}, {mode} neither")
    lab.holds("at most once loses a batch when it dies before the effect", lost == BATCH, f"{lost} lost")
    lab.holds("at least once repeats a batch when it dies before the commit", again == BATCH, f"{again} repeated")
    both = [counts[mode, place] for place in ("before-effect", "after-effect")]
    lab.holds("exactly once neither loses nor repeats", both == [(0, 0), (0, 0)], f"lost and repeated: {both}")


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
