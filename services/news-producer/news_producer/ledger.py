"""The books of a run: what was sent, what the cluster acknowledged and where, what failed and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric


class Ledger:
    """Counts of one topic. Every record is sent, and then delivered, failed, or unknown until its report comes."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.sent = 0
        self.failed = 0
        self.delivered_to: Counter[int] = Counter()
        self.first_error: str | None = None

    @property
    def delivered(self) -> int:
        """Records that the cluster acknowledged."""
        return sum(self.delivered_to.values())

    @property
    def unknown(self) -> int:
        """Records whose report has not come."""
        return self.sent - self.delivered - self.failed

    def fail(self, reason: str, records: int = 1) -> None:
        """Book failed records; the first reason is kept."""
        self.failed += records
        if self.first_error is None:
            self.first_error = reason

    def give_up(self, reason: str) -> None:
        """Nobody waits any longer: what is unknown has failed."""
        if self.unknown:
            self.fail(reason, self.unknown)

    def partitions(self) -> dict[int, int]:
        """Delivered records by partition, in order."""
        return dict(sorted(self.delivered_to.items()))


class LedgerMetrics(Collector):
    """Shows a ledger to Prometheus when it asks, which costs the hot path nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @override
    def collect(self) -> Iterable[Metric]:
        book = self._ledger
        prefix = "newsroom_producer_records"
        sent = CounterMetricFamily(f"{prefix}_sent", "Records handed to the client.", labels=["topic"])
        sent.add_metric([book.topic], book.sent)
        delivered = CounterMetricFamily(
            f"{prefix}_delivered", "Records acknowledged by the cluster.", labels=["topic", "partition"]
        )
        for partition, records in list(book.delivered_to.items()):
            delivered.add_metric([book.topic, str(partition)], records)
        failed = CounterMetricFamily(f"{prefix}_failed", "Records not delivered.", labels=["topic"])
        failed.add_metric([book.topic], book.failed)
        return [sent, delivered, failed]
