"""Prometheus metrics of the avro-consumer."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDS = Counter(
    "newsroom_consumer_records_total",
    "Records that this member has processed; their offsets are committed next.",
    ["topic"],
)
DEAD_LETTERS = Counter(
    "newsroom_consumer_dead_letters_total", "Poison records that the dead-letter topic has acknowledged."
)
REBALANCES = Counter("newsroom_consumer_rebalances_total", "Rebalance callbacks: assigned, revoked, lost.", ["event"])
ASSIGNED = Gauge("newsroom_consumer_assigned_partitions", "Partitions that this member owns now.")
COMMITS = Counter(
    "newsroom_consumer_commits_total", "Synchronous commits: ok, rebalanced, unreachable, fenced, refused.", ["result"]
)
