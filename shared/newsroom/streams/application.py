"""Quix Streams as both stream services use it: exactly-once, an identity per replica, health, an end in time.

With `newsroom.stream_errors` the only module of `newsroom` that imports quixstreams; images of services without it
never import these two.

Exactly-once here means: output records, state (its changelog) and input offsets are one Kafka transaction. A
replica that cannot go on (its partitions were taken away, its transaction was aborted) ends with a sentence and
exit code 1, without committing; started again, it goes on from the last commit. That is why nothing in here heals
a broken replica within the process.
"""

from __future__ import annotations

import signal
import warnings
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from newsroom.errors import ReplicaFenced
from newsroom.logs import get_logger
from newsroom.streams.consumer import PatientConsumer
from newsroom.streams.watchdog import STOP_SIGNALS, Watchdog

with warnings.catch_warnings(record=True):
    # As in newsroom.schemas.registry: a library below announces a rename that no reader of our logs can act on.
    from quixstreams import Application
    from quixstreams.kafka import ConnectionConfig
    from quixstreams.state.rocksdb.options import RocksDBOptions

if TYPE_CHECKING:
    from pathlib import Path

    from newsroom.health import Health
    from newsroom.slots import Slot
    from newsroom.streams.settings import StreamSettings
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

NEED_PARTITIONS = "partitions"
NEED_STATE = "state"
NEEDS = (NEED_PARTITIONS, NEED_STATE)
"""What a stream service waits for before it is ready: `Health(*NEEDS)`."""

TRANSACTION_TIMEOUT_MS = 15_000
"""How long the cluster keeps the open transaction of a replica that died. Readers wait behind an open transaction,
so this is how long they may stall when the replica is not started again (a restarted one ends it at once). Long
against one commit (half a second and the flush), short against a reader's patience."""

MAX_POLL_INTERVAL_MS = 60_000
"""A replica whose loop does not turn for so long loses its partitions; as long as /livez gives it. Quix also
derives its budgets from it: a fifth, 12 s, for the last commit before partitions are handed over."""

STATISTICS_INTERVAL_MS = 1000
"""librdkafka's statistics callback runs inside poll(), with or without records: it proves that the loop turns."""

HEARTBEATS_PER_SESSION = 3
"""Two heartbeats may get lost before a member is given up: Kafka's own proportion."""

QUEUE_MESSAGES = 500_000
"""A checkpoint of a backlog produces tens of thousands of small records; librdkafka's default of 100,000 is
within reach of that, and a full queue stops the loop."""


MIB = 1024 * 1024
WRITE_BUFFER_BYTES = 8 * MIB
BLOCK_CACHE_BYTES = 64 * MIB
MAX_WAL_BYTES = 32 * MIB
"""Quix's defaults (three buffers of 64 MiB a partition and a cache of 1 GiB) are meant for a machine of its own;
these keep twelve partitions in a container of 512 MiB, and the lab's state fits in one buffer."""


class StreamApplication(Application):
    """Quix's application, telling `Health` about partitions and state, and ending when its partitions are lost.

    Quix has no hook for the three rebalance callbacks; they are overridden (a test holds their names fast).
    """

    def __init__(
        self,
        health: Health,
        stop: StopFlag,
        *,
        consumer_extra_config: dict[str, Any],
        **options: Any,  # noqa: ANN401 - Quix's own options
    ) -> None:
        self._health = health
        self._asked_to_stop = stop
        self._watchdog: Watchdog | None = None
        super().__init__(consumer_extra_config=consumer_extra_config | {"stats_cb": self.on_statistics}, **options)

    def on_statistics(self, _: str) -> None:
        """Called by librdkafka inside poll(), once a second: the loop turns."""
        self._health.tick()
        self._look_at_state()
        if self._asked_to_stop:  # a signal that came before run() installed Quix's own handlers
            self.stop()

    def run_watched(self) -> None:
        """Run until SIGTERM or SIGINT, and end the process by force when the loop hangs or its clients do not close.

        Quix handles the signals from here on, and who did before does so again at the end. A second signal ends the
        process at once.
        """
        # Quix would make its own at first use, and has no hook for another.
        self._consumer._inner_consumer = PatientConsumer(self._consumer._consumer_config, self._asked_to_stop)  # noqa: SLF001
        handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        try:
            with Watchdog(self._health) as self._watchdog:
                self.run()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @override
    def stop(self, fail: bool = False) -> None:
        self._asked_to_stop.set()
        if self._watchdog is not None:
            self._watchdog.closing()
        super().stop(fail=fail)

    @override
    def _on_sigint(self, *_: Any) -> None:
        # As Quix does with SIGTERM. With SIGINT it would leave the second one to Python, which ends with a stack
        # trace; the watchdog hears the second signal, whichever it is.
        self.stop()

    def _look_at_state(self) -> None:
        if self._state_manager.recovery_required:
            self._health.lost(NEED_STATE, "state is being restored from its changelog")
        else:
            self._health.reached(NEED_STATE)

    @override
    def _on_assign(self, consumer: Any, topic_partitions: list[Any]) -> None:
        super()._on_assign(consumer, topic_partitions)
        self._look_at_state()
        log.info("partitions assigned", partitions=_data_partitions(topic_partitions))
        self._health.reached(NEED_PARTITIONS)

    @override
    def _on_revoke(self, consumer: Any, topic_partitions: list[Any]) -> None:
        self._health.lost(NEED_PARTITIONS, "the group is distributing its partitions")
        super()._on_revoke(consumer, topic_partitions)
        log.info("partitions handed over", partitions=_data_partitions(topic_partitions))

    @override
    def _on_lost(self, consumer: Any, topic_partitions: list[Any]) -> None:
        self._health.lost(NEED_PARTITIONS, "the group gave the partitions away")
        super()._on_lost(consumer, topic_partitions)
        # Quix would keep the open checkpoint and commit it as a member of the next generation, while another
        # replica has already counted the same records: they would count twice.
        raise ReplicaFenced(
            "the group gave this replica's partitions to others (it was paused, or cut off, for longer than its "
            "session timeout): nothing was committed, start it again"
        )


def _data_partitions(partitions: list[Any]) -> list[str]:
    return sorted(f"{tp.topic}-{tp.partition}" for tp in partitions if not tp.topic.startswith("changelog__"))


def identity(settings: StreamSettings, slot: Slot) -> str:
    """The replica's name: the same after a restart, and no other living replica's."""
    return f"{settings.consumer_group}-{slot.number}"


def build_application(
    settings: StreamSettings, slot: Slot, folder: Path, health: Health, stop: StopFlag, *, consumer_poll_timeout: float
) -> StreamApplication:
    """The Quix application of one replica, with its state in `folder`; connects to nothing yet.

    `consumer_poll_timeout` (seconds) bounds how late a due commit and a stop request are noticed.
    """
    name = identity(settings, slot)
    return StreamApplication(
        health,
        stop,
        broker_address=ConnectionConfig.from_librdkafka_dict(settings.client_config(name), ignore_extras=True),
        consumer_group=settings.consumer_group,
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        commit_interval=settings.commit_interval,
        consumer_poll_timeout=consumer_poll_timeout,
        consumer_extra_config=_consumer_extra(settings, name),
        producer_extra_config=_producer_extra(name),
        state_dir=folder,
        rocksdb_options=RocksDBOptions(
            write_buffer_size=WRITE_BUFFER_BYTES,
            target_file_size_base=WRITE_BUFFER_BYTES,
            block_cache_size=BLOCK_CACHE_BYTES,
            max_total_wal_size=MAX_WAL_BYTES,
        ),
        # Topics come from provision, the changelog from `prepare_changelog`: nothing appears by accident.
        auto_create_topics=False,
        # Deleting the state and counting on is no recovery: stop and say so.
        auto_recover_from_source_offset_out_of_range=False,
        loglevel=None,  # newsroom.logs has set up logging
        on_consumer_error=_leave_to_caller,
        on_processing_error=_leave_to_caller,
        on_producer_error=_leave_to_caller,
    )


FETCH_WAIT_MS = 50
"""How long a broker holds a fetch that finds nothing. It answers one request of a connection after the other, and
on every assignment Quix asks for the ends of each partition in turn: behind fetches of librdkafka's 500 ms that took
6.5 s for 13 partitions. New records are answered at once, whatever this is."""

RECONNECT_MAX_MS = 1000
"""A broker that restarts is found again within a second, not after librdkafka's ten."""


def _consumer_extra(settings: StreamSettings, name: str) -> dict[str, Any]:
    session_ms = int(settings.session_timeout * 1000)
    config: dict[str, Any] = {
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": session_ms // HEARTBEATS_PER_SESSION,
        "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
        "fetch.wait.max.ms": FETCH_WAIT_MS,
        "statistics.interval.ms": STATISTICS_INTERVAL_MS,
        "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
    }
    if settings.static_membership:
        config["group.instance.id"] = name
    return config


def _producer_extra(name: str) -> dict[str, Any]:
    return {
        "transactional.id": name,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        # Quix's default too; said here because the join depends on it. Every key is set, so it places records
        # as the murmur2_random of the other producers does.
        "partitioner": "murmur2",
        "compression.type": "lz4",
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
    }


def _leave_to_caller(error: Exception, record: Any, _: object) -> bool:  # noqa: ANN401 - Quix's row or message
    """Say which record the service stops at, if it is one; `translated_errors` says why.

    Quix's default prints a stack trace instead.
    """
    if record is not None:
        topic, partition, offset = (_value(record, name) for name in ("topic", "partition", "offset"))
        log.error("stopping at a record", topic=topic, partition=partition, offset=offset, error=type(error).__name__)
    return False


def _value(record: Any, name: str) -> object:  # noqa: ANN401 - Quix's rows have attributes, messages have methods
    value = getattr(record, name)
    return value() if callable(value) else value
