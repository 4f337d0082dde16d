"""The settings of librdkafka with which Quix makes the clients of a stream service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsroom.settings import FIRST_ANSWER_MS, HEARTBEAT_MILLISECONDS, METADATA_MS, RECONNECT
from newsroom.topics import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from newsroom.streams.settings import StreamSettings

TRANSACTION_TIMEOUT_MS = 15_000
"""The cluster aborts a dead replica's open transaction after this time; a restarted replica aborts it at once.
Readers wait behind an open transaction, so keep it short, but longer than a commit (half a second and the flush)."""

MAX_POLL_INTERVAL_MS = 60_000
"""A replica whose loop does not turn for this long loses its partitions. Same limit as /livez. Quix allows a fifth
of it (12 s) for the last commit before it hands partitions over."""

STATISTICS_INTERVAL_MS = 1000
"""librdkafka calls the statistics callback inside poll(), even without records: this proves that the loop turns."""

QUEUE_MESSAGES = 500_000
"""A checkpoint of a backlog produces tens of thousands of small records. It could exceed librdkafka's default of
100,000, and a full queue stops the loop."""

FETCH_WAIT_MS = 50
"""How long a broker holds a fetch that finds no records; it answers at once when records arrive. On an assignment
Quix requests the ends of each partition in turn, and each request waits behind a fetch on the same connection: with
librdkafka's default (500 ms) 13 partitions took 6.5 s."""

PAUSES: dict[str, Any] = {
    **RECONNECT,
    # A client asks anew who leads a partition after a quarter of librdkafka's longest pause.
    "retry.backoff.max.ms": 250,
    # It waits for a broker that does not answer as long as our cluster does: the brokers' session timeout, and not
    # a minute.
    "socket.timeout.ms": 3000,
    "api.version.request.timeout.ms": FIRST_ANSWER_MS,
}
"""How a client behaves when brokers are silent."""

LEADERS_MS = 500
"""How often a producer asks who leads its partitions. A checkpoint waits for all of them, and librdkafka asks by itself
only when a connection ends, and then each second."""


def consumer_extra(settings: StreamSettings, name: str) -> dict[str, Any]:
    """What the consumer of the replica `name` has beside the connection."""
    config: dict[str, Any] = {
        "session.timeout.ms": int(settings.session_timeout * 1000),
        "heartbeat.interval.ms": HEARTBEAT_MILLISECONDS,
        "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
        "fetch.wait.max.ms": FETCH_WAIT_MS,
        "statistics.interval.ms": STATISTICS_INTERVAL_MS,
        "topic.metadata.refresh.interval.ms": METADATA_MS,
        **PAUSES,
    }
    if settings.static_membership:
        config["group.instance.id"] = name
    return config | settings.properties()


def producer_extra(settings: StreamSettings, name: str, most_bytes: int) -> dict[str, Any]:
    """What its producer has; its largest record has `most_bytes`."""
    transaction = {"transactional.id": name, "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}
    return {
        **(transaction if settings.exactly_once else {}),
        "enable.idempotence": True,
        # Quix's default, but the join depends on it. Every record has a key, so murmur2 chooses the same partition
        # as the other producers' murmur2_random.
        "partitioner": "murmur2",
        "compression.type": "lz4",
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        # A dead letter may be larger than librdkafka's default.
        "message.max.bytes": max(most_bytes, MAX_RECORD_BYTES),
        "topic.metadata.refresh.interval.ms": LEADERS_MS,
        **PAUSES,
        **settings.properties(),
    }
