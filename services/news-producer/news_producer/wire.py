"""What the client sent over the network, from librdkafka's statistics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL_MS = 100
"""Between two statistics. The last ones come so long after the last record at most."""


class Wire:
    """Keeps the newest statistics of a client as text: only the account at the end of the run reads them."""

    def __init__(self) -> None:
        self._text = ""
        self.reports = 0
        """How many statistics have come."""

    @property
    def config(self) -> dict[str, Any]:
        """The parameters that make the client report."""
        return {"statistics.interval.ms": INTERVAL_MS, "stats_cb": self._note}

    def _note(self, text: str) -> None:
        self._text = text
        self.reports += 1

    def figures(self) -> dict[str, int]:
        """Produce requests, bytes of records (keys and values) and bytes on the wire; nothing without statistics."""
        if not self._text:
            return {}
        statistics: Mapping[str, Any] = json.loads(self._text)
        brokers = statistics["brokers"].values()
        return {
            "requests": sum(broker["req"].get("Produce", 0) for broker in brokers),
            "record_bytes": statistics["txmsg_bytes"],
            "wire_bytes": statistics["tx_bytes"],
        }
