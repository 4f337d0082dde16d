"""How many requests a client may make: a token bucket for each address."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

BURST_SECONDS = 10.0
"""A client that was quiet for so long may make the requests of that time at once."""
MOST_CLIENTS = 10_000
"""Of more clients the one whose last request is the oldest is forgotten."""
PROBES = frozenset({"livez", "readyz"})
"""What an orchestrator asks: other clients of its address must not make the service look dead."""


class Rates:
    """Counts the requests of each client. Any thread may ask."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """For each client how many requests it may make, and when that was so."""

    def wait(self, client: str) -> float:
        """Count a request of a client: 0 if it may be answered, else the seconds until the next one may."""
        now, most = self._clock(), max(1.0, self._rate * BURST_SECONDS)
        with self._lock:
            left, before = self._clients.pop(client, (most, now))
            left = min(most, left + (now - before) * self._rate)
            allowed = left >= 1.0
            self._clients[client] = (left - 1.0 if allowed else left, now)
            if len(self._clients) > MOST_CLIENTS:
                self._clients.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._rate


def guard_rate(app: Flask, rate: float) -> None:
    """Make the application answer a client so many requests a second, averaged over `BURST_SECONDS`."""
    rates = Rates(rate)

    @app.before_request
    def not_too_often() -> None:
        if request.endpoint not in PROBES and (seconds := rates.wait(request.remote_addr or "")):
            raise TooManyRequests(
                f"One address may make {rate:g} requests a second here (NEWSROOM_STATUS_RATE).",
                retry_after=int(seconds) + 1,
            )
