"""What is known of a group's position in a partition beside its offsets: what waits, since when, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from status_api.model import GroupPartition


@dataclass(frozen=True, slots=True)
class Tail:
    """What a reader of committed records finds from an offset on."""

    waits: bool
    """Whether there is a record. If not, up to `end` there are only transaction markers, or records not committed."""
    end: int
    timestamp_ms: int | None = None
    """The timestamp of the record."""


@dataclass(frozen=True, slots=True)
class TimeLag:
    """How long ago the first record that a group has not read was produced."""

    seconds: float
    method: str
    """`caught_up` (no record waits), `record` (the timestamp of the record) or `interpolated` (between snapshots)."""
    bound_seconds: float
    """By how much `seconds` may be wrong."""


DATA_LOSS, STOPPED, UNOWNED, NEVER_COMMITTED = "data_loss", "stopped", "unowned", "never_committed"
AT_RISK, FALLING_BEHIND, REBALANCING = "at_risk", "falling_behind", "rebalancing"
FINDINGS = (DATA_LOSS, STOPPED, UNOWNED, NEVER_COMMITTED, AT_RISK, FALLING_BEHIND, REBALANCING)
"""What may be wrong with a group or a partition, the worst first."""
OK, NOT_KNOWN = "ok", "unknown"
STATUSES = (*FINDINGS, OK, NOT_KNOWN)
"""What the status of a group may be. A rebalance is a status at once, and wrong only if it lasts."""
SETTLED = frozenset({"Stable", "Empty", "Dead"})
"""The states of a group that does not rebalance."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule has found wrong."""

    status: str
    text: str
    """What is wrong, with the figures, as the beginning of a sentence."""
    value: float
    """The number that the rule looked at: seconds, records, or a share."""
    limit: float = 0.0
    """The number from which on it is wrong."""


def longest(rows: Iterable[GroupPartition]) -> TimeLag | None:
    """Return the longest lag in seconds of some partitions; None if one of them is not known, or if there is none.

    Partitions that were never committed, or no longer exist, do not count.
    """
    lags = [row.time_lag for row in rows if not row.gone and (row.committed is not None or row.commit_unknown)]
    known = [lag for lag in lags if lag is not None]
    if not known or len(known) < len(lags):
        return None
    most = max(known, key=lambda lag: lag.seconds)
    highest = max(lag.seconds + lag.bound_seconds for lag in known)
    return TimeLag(most.seconds, most.method, round(max(most.bound_seconds, highest - most.seconds), 3))
