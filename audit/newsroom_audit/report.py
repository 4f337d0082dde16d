"""The report of an audit: one line, the findings that prove it, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from newsroom_audit.findings import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from newsroom_audit.checks.gaps import Gaps

EXAMPLES = 10
"""How many findings of each kind a report keeps. All are counted."""

ALWAYS = (Kind.LOST, Kind.DUPLICATED, Kind.GHOST, Kind.ORDER, Kind.COUNT, Kind.JOIN, Kind.AHEAD)
"""The kinds that the line names even when there are none."""


@dataclass
class Report:
    """What an audit found."""

    produced: int = 0
    """Records that the ledgers' senders sent."""
    verified: int = 0
    """Acknowledged records that are where and as their delivery reports say."""
    failed: int = 0
    unknown: int = 0
    seeds: tuple[int, ...] = ()
    numbers: Counter[Kind] = field(default_factory=Counter)
    examples: list[Finding] = field(default_factory=list)
    gaps: list[Gaps] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    """How many records of each topic, sink or log were judged."""
    checks: list[str] = field(default_factory=list)
    """What was checked. What is missing here could not be: its topics or files were not there."""

    def add(self, check: str, findings: Iterable[Finding]) -> None:
        """Note a check and what it found."""
        self.checks.append(check)
        for finding in findings:
            self.numbers[finding.kind] += 1
            if self.numbers[finding.kind] <= EXAMPLES:
                self.examples.append(finding)

    @property
    def wrong(self) -> int:
        """How many guarantees are broken. Remarks do not count."""
        return sum(number for kind, number in self.numbers.items() if kind.wrong)

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 if something is wrong."""
        return 1 if self.wrong else 0

    def line(self) -> str:
        """The report in one line."""
        parts = [f"records {self.produced:,} produced, {self.verified:,} verified"]
        parts += [f"{kind.value} {self.numbers[kind]:,}" for kind in ALWAYS]
        parts += [f"{kind.value} {self.numbers[kind]:,}" for kind in Kind if kind not in ALWAYS and self.numbers[kind]]
        parts += [f"gap of {gaps.stage} max {gaps.max:.2f} s, p50 {gaps.p50:.2f} s" for gaps in self.gaps]
        parts += [f"seed {', '.join(map(str, self.seeds))}"] if self.seeds else []
        return " · ".join(parts)

    def lines(self) -> list[str]:
        """The findings, the remarks and the line, for a terminal."""
        shown = [f"{finding.kind.value}: {finding.sentence}" for finding in self.examples]
        for kind, number in self.numbers.items():
            if number > EXAMPLES:
                shown.append(f"{kind.value}: {number - EXAMPLES:,} more")
        verdict = "audit: ok" if self.exit_code == 0 else f"audit: {self.wrong:,} wrong"
        return [*shown, f"{verdict} - {self.line()}"]

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "ok": self.exit_code == 0,
            "produced": self.produced,
            "verified": self.verified,
            "failed": self.failed,
            "unknown": self.unknown,
            "seeds": list(self.seeds),
            "wrong": {kind.value: self.numbers[kind] for kind in Kind if kind.wrong},
            "remarks": {kind.value: self.numbers[kind] for kind in Kind if not kind.wrong},
            "findings": [asdict(finding) | {"kind": finding.kind.value} for finding in self.examples],
            "gaps": [_gaps(gaps) for gaps in self.gaps],
            "read": self.read,
            "checks": self.checks,
            "line": self.line(),
        }


def _gaps(gaps: Gaps) -> dict[str, Any]:
    longest = None if gaps.longest is None else {"start": gaps.longest.start, "end": gaps.longest.end}
    return {
        "stage": gaps.stage,
        "number": gaps.number,
        "p50": round(gaps.p50, 3),
        "p99": round(gaps.p99, 3),
        "max": round(gaps.max, 3),
        "longest": longest,
        "by_fault": {name: round(seconds, 3) for name, seconds in gaps.by_fault.items()},
    }
