"""The two threads of gunicorn's worker that read the cluster: one takes snapshots, one follows the tables."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from newsroom.admin.quorum import QuorumReader
from newsroom.errors import NewsroomError
from newsroom.kafka_errors import reason_of
from newsroom.logs import get_logger
from newsroom.waiting import Deadline
from status_api.collector import Collector, admin_client
from status_api.groups import GroupsReader
from status_api.tables import TableReader, table_consumer

if TYPE_CHECKING:
    from newsroom.health import Health
    from status_api.settings import StatusSettings
    from status_api.store import SnapshotStore

log = get_logger(__name__)

STOP_SECONDS = 5.0
"""Longer than a thread's longest step, which is one request timeout of at most four seconds."""
NOT_TAKEN = "the snapshot could not be taken"
NOT_READ = "word-counts and words-joined cannot be read"
PAUSE_SECONDS = 1.0
"""The pause after a failed turn of the tables: the cause rarely passes sooner, and the log stays readable."""


class ReaderThreads:
    """Keeps a store up to date from `start` to `stop`. The threads make their own clients: none survives a fork."""

    def __init__(self, settings: StatusSettings, store: SnapshotStore, health: Health) -> None:
        self._settings = settings
        self._store = store
        self._health = health
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._quorum = QuorumReader(settings, settings.request_timeout)
        self._groups = GroupsReader(settings, settings.request_timeout)

    def start(self) -> None:
        """Start both threads."""
        reader = TableReader(table_consumer(self._settings), self._settings.max_words)
        collector = Collector(
            admin_client(self._settings, self._settings.request_timeout),
            self._settings.bootstrap_servers,
            self._settings.request_timeout,
            quorum=self._quorum.ask,
            groups=self._groups.ask,
            tables=reader.tables,
        )
        self._threads = [
            threading.Thread(target=self._snapshots, args=(collector,), name="snapshots", daemon=True),
            threading.Thread(target=self._tables, args=(reader,), name="tables", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask both threads to end and wait for them, at most `STOP_SECONDS`."""
        self._stop.set()
        deadline = Deadline(STOP_SECONDS)
        for thread in self._threads:
            thread.join(deadline.left())
        self._quorum.close()
        self._groups.close()
        self._threads = []

    def _snapshots(self, collector: Collector) -> None:
        while not self._stop.is_set():
            self._health.tick()
            interval = Deadline(self._settings.refresh)
            self._snapshot(collector)
            self._stop.wait(interval.left())

    def _snapshot(self, collector: Collector) -> None:
        before = self._store.read()
        try:
            snapshot = collector.collect()
        except (NewsroomError, KafkaException) as error:
            self._store.failed(reason_of(error))
            if before.last_error is None:
                log.warning(NOT_TAKEN, reason=reason_of(error))
        except Exception as error:
            # If the thread ended, the page would look alive and never change.
            reason = _fault(NOT_TAKEN, error)
            self._store.failed(reason)
            if before.last_error != reason:
                log.exception(NOT_TAKEN)
        else:
            self._store.succeeded(snapshot)
            if before.snapshot is None or before.last_error is not None:
                brokers, topics = len(snapshot.brokers), len(snapshot.topics)
                log.info("snapshots", brokers=brokers, topics=topics, groups=len(snapshot.groups))

    def _tables(self, reader: TableReader) -> None:
        try:
            while not self._stop.is_set():
                self._turn(reader)
        finally:
            reader.close()

    def _turn(self, reader: TableReader) -> None:
        try:
            reader.turn()
        except KafkaException as error:
            if reader.failed(f"{NOT_READ}: {reason_of(error)}"):
                log.warning(NOT_READ, reason=reason_of(error))
            self._stop.wait(PAUSE_SECONDS)
        except Exception as error:
            if reader.failed(_fault(NOT_READ, error)):
                log.exception(NOT_READ)
            self._stop.wait(PAUSE_SECONDS)


def _fault(failure: str, error: Exception) -> str:
    return f"{failure}: {type(error).__name__} in the status API; see its log"
