"""What a rebalance interrupts, by the protocol of the group."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section
from newsroom_lab.rebalancing import members

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab
    from newsroom_lab.rebalancing import Members

PARTITIONS = 6
WORK = 2.0
"""How long one of the members works on what it has polled, in seconds."""


LEAD = 0.5
"""What the picture shows before the third one joins, in seconds."""


def steps(lab: Lab, *, second: str = "cooperative") -> None:
    """Let a third member join two, with each protocol, and measure how long each partition has no owner."""
    rows, interrupted, moved, pauses = [], {}, {}, {}
    for protocol in dict.fromkeys(("eager", second, "KIP-848")):
        topic, group = lab.topic(protocol, partitions=PARTITIONS), lab.group(protocol)
        lab.step(f"{protocol}: two members own three partitions each, one of them is slow, and a third one joins")
        with members(lab.ports.bootstrap, topic, group, protocol) as crowd:
            crowd.add()
            crowd.add(work=WORK)
            lab.until("two members share the partitions", partial(_sizes, crowd, [3, 3]))
            polls = crowd.polls()[1]
            lab.until("the slow one begins to work", partial(_polled, crowd, polls))
            before, joining = crowd.owned(), time.time() - crowd.start
            crowd.add()
            lab.until("three members share them", partial(_sizes, crowd, [2, 2, 2]))
            after, seconds = crowd.owned(), time.time() - crowd.start
        lanes = crowd.lanes(PARTITIONS)
        gaps = {number: _gap(spans, joining, seconds) for number, spans in lanes.items()}
        interrupted[protocol] = {number for number, gap in gaps.items() if gap > 0}
        moved[protocol] = set(range(PARTITIONS)).difference(*(a & b for a, b in zip(before, after, strict=False)))
        pauses[protocol] = sum(gaps.values())
        lab.lanes(f"{protocol}: who owned what", seconds - joining + LEAD, _cut(lanes, joining - LEAD, seconds))
        rows.append(
            (protocol, len(moved[protocol]), len(interrupted[protocol]), f"{max(gaps.values()):.2f} s",
             f"{pauses[protocol]:.2f} s")
        )  # fmt: skip
    columns = ("protocol", "moved", "interrupted", "longest pause", "all pauses")
    lab.table(f"a third member joins; {PARTITIONS} partitions", columns, rows)
    summary = ", ".join(f"{protocol} {pause:.2f} s" for protocol, pause in pauses.items())
    lab.answer(len(interrupted["eager"]), f"time of all partitions without an owner: {summary}")
    lab.holds("eager takes every partition away from its owner", len(interrupted["eager"]) == PARTITIONS)
    lab.holds(
        "KIP-848 pauses less than eager, summed over the partitions", pauses["KIP-848"] < pauses["eager"], summary
    )
    for protocol in (second, "KIP-848"):
        lab.holds(
            f"{protocol} interrupts only the partitions that move",
            interrupted[protocol] == moved[protocol] and len(moved[protocol]) < PARTITIONS,
            f"moved {sorted(moved[protocol])}, interrupted {sorted(interrupted[protocol])}",
        )


def _sizes(crowd: Members, wanted: list[int]) -> bool:
    return crowd.sizes() == wanted


def _polled(crowd: Members, polls: int) -> bool:
    return crowd.polls()[1] > polls


def _gap(spans: list[tuple[float, float, str]], start: float, end: float) -> float:
    """How long nobody owned a partition between two moments, in seconds."""
    owned = sum(max(0.0, min(until, end) - max(since, start)) for since, until, _ in spans)
    return round(max(0.0, end - start - owned), 3)


def _cut(
    lanes: dict[int, list[tuple[float, float, str]]], start: float, end: float
) -> dict[str, list[tuple[float, float, str]]]:
    return {
        f"partition {number}": [
            (max(since, start) - start, min(until, end) - start, owner)
            for since, until, owner in spans
            if until > start
        ]
        for number, spans in lanes.items()
    }


EXPERIMENT = Experiment(
    section=Section.SCALING,
    rows=(41,),
    question=(
        "A third consumer joins two, and two of six partitions must move to it. With the eager protocol, how many "
        "partitions are without an owner meanwhile?"
    ),
    predict=Number("partitions"),
    steps=steps,
    why="""Eager: everybody gives up everything, and nobody reads until the slowest member has polled, given up its
    partitions and joined again. Cooperative: members keep what stays with them, and only what moves is given
    up, in a second round. With KIP-848 the broker moves partition by partition; there are no rounds, so a slow
    member delays only what it must give up itself. Quix and old clients are eager; these consumers are
    cooperative, or KIP-848 with --group-protocol consumer.""",
    wrong={"cooperative members stop, too": {"second": "eager"}},
    terms=("rebalance", "consumer group", "generation"),
)
