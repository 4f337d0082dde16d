"""The `Retry-After` header, with which an HTTP server says when to ask it again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_SECONDS = 86_400.0
"""A server that wants no request for longer than a day is asked again after a day."""


def retry_seconds(header: str | None) -> float:
    """Return the seconds that a Retry-After header asks for, as a number or a date; 0 if it says nothing."""
    text = (header or "").strip()
    try:
        if text.isdecimal():
            return min(float(text), LONGEST_RETRY_SECONDS)
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    # A date with -0000 is UTC, but has no zone in Python.
    seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)
    return min(max(0.0, seconds.total_seconds()), LONGEST_RETRY_SECONDS)
