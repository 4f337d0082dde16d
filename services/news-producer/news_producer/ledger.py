"""The account of a run: records sent, delivered (by partition) and failed, with the first reason."""

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
    """Counts of one topic. A sent record is unknown until its delivery report comes; then it is delivered or failed."""

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
        """Records whose delivery report has not come."""
        return self.sent - self.delivered - self.failed

    def fail(self, reason: str, records: int = 1) -> None:
        """Count failed records, and keep the first reason."""
        self.failed += records
        if self.first_error is None:
            self.first_error = reason

    def give_up(self, reason: str) -> None:
        """Count the unknown records as failed, because the producer no longer waits for their delivery reports."""
        if self.unknown:
            self.fail(reason, self.unknown)

    def partitions(self) -> dict[int, int]:
        """Return the number of delivered records by partition, in order of the partitions."""
        return dict(sorted(self.delivered_to.items()))


class LedgerMetrics(Collector):
    """Reads the ledger only when Prometheus scrapes it, so that the hot path pays nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @override
    def collect(self) -> Iterable[Metric]:
        ledger = self._ledger
        prefix = "newsroom_producer_records"
        sent = CounterMetricFamily(f"{prefix}_sent", "Records handed to the client.", labels=["topic"])
        sent.add_metric([ledger.topic], ledger.sent)
        delivered = CounterMetricFamily(
            f"{prefix}_delivered", "Records that the cluster acknowledged.", labels=["topic", "partition"]
        )
        for partition, records in list(ledger.delivered_to.items()):
            delivered.add_metric([ledger.topic, str(partition)], records)
        failed = CounterMetricFamily(f"{prefix}_failed", "Records that were not delivered.", labels=["topic"])
        failed.add_metric([ledger.topic], ledger.failed)
        return [sent, delivered, failed]
