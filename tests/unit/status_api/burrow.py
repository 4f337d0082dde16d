"""Burrow's rules, to hold ours against: https://github.com/linkedin/Burrow/wiki/Consumer-Lag-Evaluation-Rules."""

from collections import deque
from itertools import pairwise

WINDOW = 10
RING_SECONDS = 10.0


class Burrow:
    """Judges one partition by its last ten commits, and the broker's end offsets of every ten seconds."""

    def __init__(self) -> None:
        self._commits: deque[tuple[int, float, int]] = deque(maxlen=WINDOW)
        """Offset, time and lag of each commit."""
        self._ends: deque[int] = deque(maxlen=WINDOW)
        self._ends_at = -RING_SECONDS
        self._end = 0

    def see(self, committed: int | None, end: int, now: float) -> None:
        """Take in the end offset, and a commit if there was one now."""
        self._end = end
        if now - self._ends_at >= RING_SECONDS:
            self._ends_at = now
            self._ends.append(end)
        if committed is not None:
            self._commits.append((committed, now, max(0, end - committed)))

    def status(self, now: float) -> str:  # noqa: PLR0911 - one for each rule
        """Return the status by the rules, in their order."""
        if not self._commits:
            return "NOTFOUND"
        offsets = [offset for offset, _, _ in self._commits]
        lags = [lag for _, _, lag in self._commits]
        last_offset, last_at, _ = self._commits[-1]
        if self._end - last_offset <= 0:
            return "OK"
        if now - last_at > last_at - self._commits[0][1] and not any(end <= last_offset for end in self._ends):
            return "STOP"
        rewound = [number for number, (one, two) in enumerate(pairwise(offsets)) if two < one]
        if any(max(offsets[number + 1 :]) < offsets[number] for number in rewound):
            return "REWIND"
        if any(lag == 0 for lag in lags):
            return "OK"
        if len(set(offsets)) == 1:
            return "STALL"
        return "OK" if any(two < one for one, two in pairwise(lags)) else "WARN"
