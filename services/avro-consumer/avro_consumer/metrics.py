"""Prometheus metrics of the avro-consumer."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDS = Counter("newsroom_consumer_records_total", "Records processed and on their way to the commit.", ["topic"])
DEAD_LETTERS = Counter("newsroom_consumer_dead_letters_total", "Poison records delivered to the dead-letter topic.")
REBALANCES = Counter("newsroom_consumer_rebalances_total", "Rebalance callbacks: assigned, revoked, lost.", ["event"])
ASSIGNED = Gauge("newsroom_consumer_assigned_partitions", "Partitions this member owns now.")
COMMITS = Counter(
    "newsroom_consumer_commits_total", "Synchronous commits: ok, rebalanced, unreachable, refused.", ["result"]
)
