"""How long did the outputs pause while there was input? For times of any kind: acknowledgements, outputs, log lines.

A gap is the time between two successive outputs in which at least one input arrived, counted from the first input in
it: a pipeline without input is not late.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from newsroom_audit.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsroom_audit.history import Sample
    from newsroom_audit.ledger import Ledger


@dataclass(frozen=True)
class Fault:
    """A fault that someone injected, and when it began and ended. Seconds since 1970 (UTC)."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Gap:
    """A time without output although there was input."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


@dataclass(frozen=True)
class Gaps:
    """The gaps of one stage: how many, how long, and the longest one that overlaps each fault."""

    stage: str
    number: int = 0
    p50: float = 0.0
    p99: float = 0.0
    longest: Gap | None = None
    by_fault: Mapping[str, float] = field(default_factory=dict)

    @property
    def max(self) -> float:
        """The seconds of the longest gap."""
        return 0.0 if self.longest is None else self.longest.seconds


def find_gaps(
    stage: str,
    outputs: Iterable[float],
    inputs: Iterable[float],
    *,
    end: float | None = None,
    faults: Sequence[Fault] = (),
) -> Gaps:
    """The gaps between successive outputs. `end`: when the observation ended, for outputs that never came."""
    arrivals, times = sorted(inputs), sorted(outputs)
    if not arrivals:
        return Gaps(stage)
    borders = [arrivals[0], *(time for time in times if time > arrivals[0])]
    if end is not None and end > borders[-1]:
        borders.append(end)
    gaps = []
    for before, after in pairwise(borders):
        number = bisect_right(arrivals, before) if before > arrivals[0] else 0
        if number < len(arrivals) and arrivals[number] < after:
            gaps.append(Gap(max(before, arrivals[number]), after))
    if not gaps:
        return Gaps(stage)
    seconds = sorted(gap.seconds for gap in gaps)
    return Gaps(
        stage,
        len(gaps),
        percentile(seconds, 0.5),
        percentile(seconds, 0.99),
        max(gaps, key=lambda gap: gap.seconds),
        {fault.name: _longest_during(fault, gaps) for fault in faults},
    )


def percentile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank percentile of values in order; zero of none."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def _longest_during(fault: Fault, gaps: Iterable[Gap]) -> float:
    return max((gap.seconds for gap in gaps if gap.start < fault.end and fault.start < gap.end), default=0.0)


def acknowledgement_gaps(ledgers: Sequence[Ledger], faults: Sequence[Fault] = ()) -> Gaps:
    """The times in which no sent record was acknowledged."""
    entries = [entry for ledger in ledgers for entry in ledger.entries.values()]
    acknowledged = [entry.settled for entry in entries if entry.outcome is Outcome.ACKNOWLEDGED]
    return find_gaps("acknowledgements", acknowledged, [entry.sent for entry in entries], faults=faults)


def output_gaps(topic: str, samples: Sequence[Sample], inputs: Iterable[float], faults: Sequence[Fault] = ()) -> Gaps:
    """The times in which no new record of an output became visible, as finely as the samples lie."""
    totals = [(sample.at, sum(sample.stable.get(topic, {}).values())) for sample in samples]
    return _rises(topic, totals, inputs, faults)


def commit_gaps(group: str, samples: Sequence[Sample], inputs: Iterable[float], faults: Sequence[Fault] = ()) -> Gaps:
    """The times in which a consumer group committed nothing new, as finely as the samples lie."""
    totals = [
        (sample.at, sum(sum(offsets.values()) for (name, _), offsets in sample.committed.items() if name == group))
        for sample in samples
    ]
    return _rises(f"commits of {group}", totals, inputs, faults)


def _rises(stage: str, totals: Sequence[tuple[float, int]], inputs: Iterable[float], faults: Sequence[Fault]) -> Gaps:
    """The gaps between the times at which a total rose, while it was looked at."""
    if not totals:
        return Gaps(stage)
    moments = sorted(totals)
    first, last = moments[0][0], moments[-1][0]
    highest, rises = moments[0][1], []
    for at, total in moments:
        # A sample that a broker did not answer in full is lower: it is not a rise when the next one is complete.
        if total > highest:
            highest = total
            rises.append(at)
    return find_gaps(stage, rises, [time for time in inputs if first <= time <= last], end=last, faults=faults)
