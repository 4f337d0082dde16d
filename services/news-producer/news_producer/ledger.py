"""The account of a run: entries read and skipped, records sent, delivered (by partition) and failed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from news_producer.items import REPEATED, SEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.core import Metric


class Ledger:
    """Counts of one topic. An entry that was read is sent or skipped; nothing else can become of it.

    A sent record is unknown until its delivery report comes; then it is delivered or failed.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.read = 0
        """Entries of feeds, lines, rows and headlines that the producer took."""
        self.skipped: Counter[str] = Counter()
        """Entries that became no record, by reason (`news_producer.items`)."""
        self.lost_lines = 0
        """Lines of files that went with skipped entries: a row of CSV may have several."""
        self.sent = 0
        self.failed = 0
        self.delivered_to: Counter[int] = Counter()
        self.first_error: str | None = None
        self.seconds = 0.0
        """From the start of the client to the last delivery report."""
        self.wire: dict[str, int] = {}
        """Requests and bytes that the client sent (`news_producer.wire`)."""

    @property
    def new(self) -> int:
        """Entries that the producer had not read before."""
        return self.read - self.skipped[SEEN] - self.skipped[REPEATED]

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

    def account(self) -> dict[str, object]:
        """Return the account as the fields of the run's last log line."""
        skipped = +self.skipped
        why = {"why": dict(skipped)} if skipped else {}
        lines = {"lost_lines": self.lost_lines} if self.lost_lines else {}
        return {
            "topic": self.topic,
            "read": self.read,
            "new": self.new,
            "skipped": skipped.total(),
            **why,
            **lines,
            "sent": self.sent,
            "delivered": self.delivered,
            "failed": self.failed,
            "partitions": self.partitions(),
            "seconds": round(self.seconds, 2),
            "per_second": round(self.delivered / self.seconds) if self.seconds else 0,
            **self.wire,
        }


class LedgerMetrics(Collector):
    """Reads the ledger only when Prometheus scrapes it, so that the hot path pays nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @override
    def collect(self) -> Iterable[Metric]:
        ledger = self._ledger
        return [
            self._counter("entries_read", "Entries that were read from the sources.", ledger.read),
            self._counter("entries_new", "Entries that had not been read before.", ledger.new),
            self._by("entries_skipped", "Entries that became no record.", "reason", list(ledger.skipped.items())),
            self._counter("lines_lost", "Lines of files that went with skipped entries.", ledger.lost_lines),
            self._counter("records_sent", "Records handed to the client.", ledger.sent),
            self._by(
                "records_delivered",
                "Records that the cluster acknowledged.",
                "partition",
                [(str(partition), records) for partition, records in list(ledger.delivered_to.items())],
            ),
            self._counter("records_failed", "Records that were not delivered.", ledger.failed),
        ]

    def _counter(self, name: str, meaning: str, value: int) -> CounterMetricFamily:
        metric = CounterMetricFamily(f"newsroom_producer_{name}", meaning, labels=["topic"])
        metric.add_metric([self._ledger.topic], value)
        return metric

    def _by(self, name: str, meaning: str, label: str, values: Sequence[tuple[str, int]]) -> CounterMetricFamily:
        metric = CounterMetricFamily(f"newsroom_producer_{name}", meaning, labels=["topic", label])
        for key, value in values:
            metric.add_metric([self._ledger.topic, key], value)
        return metric
