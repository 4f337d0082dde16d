"""How long to wait for a broker: for as long as its last answers took, and a margin."""

from __future__ import annotations

MARGIN = 3.0
"""A round may take this many times as long as the last one, on a machine that becomes busy."""
MOST_SECONDS = 4.0
"""Never longer, so that a snapshot is not stale because of one broker."""


class Patience:
    """The wait for one broker's next answer."""

    def __init__(self, least_seconds: float) -> None:
        self._least = least_seconds
        self._last = 0.0

    @property
    def seconds(self) -> float:
        """How long to wait."""
        return min(max(self._least, MARGIN * self._last), max(self._least, MOST_SECONDS))

    def took(self, seconds: float) -> None:
        """Note how long an answer took, be it later than it was waited for."""
        self._last = seconds
