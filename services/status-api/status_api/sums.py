"""Sums of which a part may not be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from status_api.model import GroupPartition


def sum_of_lags(rows: Iterable[GroupPartition]) -> int | None:
    """Return the sum of the lags; None if one of them is not known, or if there is none.

    A partition that was never committed, or no longer exists, has no lag: that is known, and is not a zero.
    """
    return _sum(rows, lambda row: row.lag)


def sum_of_commits(rows: Iterable[GroupPartition]) -> int | None:
    """Return the sum of the committed offsets; None if one of them is not known, or if there is none."""
    return _sum(rows, lambda row: row.committed)


def _sum(rows: Iterable[GroupPartition], value: Callable[[GroupPartition], int | None]) -> int | None:
    counted = [row for row in rows if not row.gone and (row.committed is not None or row.commit_unknown)]
    return sum_known(value(row) for row in counted) if counted else None


def sum_some(values: Iterable[int | None]) -> int | None:
    """Return the sum of the known values; None if no value is known."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) if numbers else None


def sum_known(values: Iterable[int | None]) -> int | None:
    """Return the sum of the values; None if one of them is not known."""
    addends = list(values)
    return None if None in addends else sum_some([0, *addends])
