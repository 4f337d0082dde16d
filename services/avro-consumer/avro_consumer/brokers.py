"""Watches whether any broker answers, and says so in the log and in the service's readiness."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from newsroom.logs import get_logger

if TYPE_CHECKING:
    from newsroom.health import Health

log = get_logger(__name__)

BROKERS = "brokers"
"""What the member needs to be ready."""

LOSS_SECONDS = 10.0
"""A member without a broker for this long is not ready. A broker restarts in less time."""


class BrokerWatch:
    """Knows since when no broker answers, from what the client reports."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._silent_since: float | None = None

    @property
    def silent(self) -> bool:
        """Whether no broker answers."""
        return self._silent_since is not None

    def none_answers(self, reason: str) -> None:
        """Note that no broker answers."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            log.warning("no broker answers, retrying", **({"error": reason} if reason else {}))
        elif now - self._silent_since >= LOSS_SECONDS:
            self._health.lost(BROKERS, f"no broker has answered for {now - self._silent_since:.0f} s")

    def one_answers(self) -> None:
        """Note that a broker answers."""
        if self._silent_since is not None:
            self._silent_since = None
            log.info("brokers answer again")
        self._health.reached(BROKERS)
