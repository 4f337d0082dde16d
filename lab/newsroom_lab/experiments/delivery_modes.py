"""What each delivery mode loses and repeats, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.crashing import BATCH, RECORDS, crash
from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

PLACES = ("before-effect", "after-effect")
PAUSE = 7.0
"""Longer than the clock of automatic commits, so that it commits a batch that has had no effect yet."""


def steps(lab: Lab, *, clock: str = "auto") -> None:
    """Kill a consumer before the effect and after it, in four modes, and count what is lost and what is repeated."""
    rows, outcomes = [], {}
    for delivery in dict.fromkeys(("at-most-once", "at-least-once", "never", clock)):
        for place in PLACES:
            lab.step(f"--delivery {delivery}: kill -9 {place.replace('-', ' the ')} of the second batch, start again")
            effects = crash(lab, delivery, place, PAUSE if (delivery, place) == (clock, "before-effect") else 0)
            outcomes[delivery, place] = effects
            rows.append((delivery, place, effects.lost, effects.repeated))
    lab.table(f"of {RECORDS} records, in batches of {BATCH}", ("--delivery", "killed", "lost", "repeated"), rows)
    early, late = outcomes[clock, "before-effect"], outcomes[clock, "after-effect"]
    lab.answer(early.lost, f"{clock} lost {early.lost} in one crash and repeated {late.repeated} in the other")
    lab.holds(
        "at most once never repeats, at least once never loses",
        all(outcomes["at-most-once", place].repeated == outcomes["at-least-once", place].lost == 0 for place in PLACES),
    )
    lab.holds(
        "without commits everything before the crash is repeated", outcomes["never", "after-effect"].repeated > BATCH
    )
    lab.holds(
        "the clock does both: it loses in one crash and repeats in the other",
        early.lost == BATCH and late.repeated > 0,
        f"lost {early.lost}, repeated {late.repeated}",
    )


EXPERIMENT = Experiment(
    section=Section.CONSUMER,
    rows=(21,),
    question="enable.auto.commit lets the client commit every few seconds by itself. What can a crash do then?",
    predict=Choice(
        ("repeat records, but never lose one", "lose records, but never repeat one", "both, by where it comes"),
        right=2,
    ),
    steps=steps,
    why="""The clock commits what poll() has handed out, whatever the program has done with it. If it ticks between
    the hand-over and the effect, a crash loses the batch; if the crash comes after the effect and before the
    next tick, everything since the last tick is repeated. Each of the other modes does at most one of both,
    because it has a fixed order: commit first (at most once), or effect first (at least once).""",
    wrong={"automatic commits are at least once": {"clock": "at-least-once"}},
    terms=("delivery semantics", "committed offset"),
)
