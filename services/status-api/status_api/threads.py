"""The threads of gunicorn's worker: one takes snapshots, one follows the tables, and one asks each neighbour."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from newsroom.access import Access
from newsroom.errors import LastingFailure, NewsroomError
from newsroom.kafka_errors import reason_of
from newsroom.lifecycle import log_error
from newsroom.logs import get_logger
from newsroom.waiting import Deadline
from status_api.collector import Collector, admin_client
from status_api.neighbours import POLL_SECONDS, Neighbours
from status_api.process import Looks
from status_api.tables import TableReader, table_consumer
from status_api.tails import TailReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom.health import Health
    from status_api.model import Snapshot
    from status_api.neighbours import Neighbour
    from status_api.settings import StatusSettings
    from status_api.store import LatestSnapshot, SnapshotStore

log = get_logger(__name__)

STOP_SECONDS = 5.0
"""Longer than a thread's longest step, which is one request timeout of at most four seconds."""
NOT_TAKEN = "the snapshot could not be taken"
NOT_READ = "word-counts and words-joined cannot be read"
PAUSE_SECONDS = 1.0
"""The pause after a failed turn of the tables: the cause rarely passes sooner, and the log stays readable."""


def end_process(failure: LastingFailure) -> None:
    """End gunicorn's worker, and so its parent, because no snapshot can be taken as the service is set up."""
    log_error(failure)
    logging.shutdown()
    os._exit(failure.exit_code)


class ReaderThreads:
    """Keeps a store up to date from `start` to `stop`. The threads make their own clients: none survives a fork.

    A cause that waiting does not change ends the process before the first snapshot, and is shown after it.
    """

    def __init__(
        self,
        settings: StatusSettings,
        store: SnapshotStore,
        health: Health,
        end: Callable[[LastingFailure], None] = end_process,
    ) -> None:
        self._end = end
        self._access = Access(settings.client_config("newsroom-status"))
        self._names: set[str] = set()
        self._settings = settings
        self._store = store
        self._health = health
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._inquirers = ExitStack()
        self._tails = TailReader(settings)
        self._neighbours = Neighbours(settings)

    def start(self) -> None:
        """Start all threads, each as soon as it can be."""
        reader = TableReader(table_consumer(self._settings), self._settings.max_words, self._access)
        self._start_thread("tables", self._tables, reader)
        for neighbour in self._neighbours.all:
            self._start_thread("neighbour", self._ask, neighbour)
        self._start_thread("snapshots", self._snapshots, self._collector(reader))

    def _start_thread(self, name: str, target: Callable[..., None], argument: object) -> None:
        thread = threading.Thread(target=target, args=(argument,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _collector(self, reader: TableReader) -> Collector:
        # Imported while the tables' reader connects: kafka-python takes longer to import than confluent-kafka.
        from newsroom.admin.quorum import QuorumReader  # noqa: PLC0415
        from status_api.groups import GroupsReader  # noqa: PLC0415

        settings = self._settings
        self._admin = admin_client(settings, settings.request_timeout, self._access)
        quorum = self._inquirers.enter_context(QuorumReader(settings, settings.request_timeout))
        groups = self._inquirers.enter_context(GroupsReader(settings, settings.request_timeout))
        return Collector(
            self._admin,
            settings.bootstrap_servers,
            settings.request_timeout,
            quorum=quorum.ask,
            groups=groups.ask,
            racks=groups.racks,
            tables=reader.tables,
            tails=self._tails,
        )

    def stop(self) -> None:
        """Ask the threads to end and wait for them, at most `STOP_SECONDS`."""
        self._stop.set()
        deadline = Deadline(STOP_SECONDS)
        for thread in self._threads:
            thread.join(deadline.left())
        self._inquirers.close()
        self._threads = []

    def _snapshots(self, collector: Collector) -> None:
        looks = Looks()
        while not self._stop.is_set():
            self._health.tick()
            interval = Deadline(self._settings.refresh)
            self._snapshot(collector)
            looks.turn()
            self._stop.wait(interval.left())

    def _snapshot(self, collector: Collector) -> None:
        before = self._store.read()
        try:
            snapshot = self._collected(collector)
        except LastingFailure as failure:
            if before.snapshot is None:
                self._end(failure)
            self._failed(str(failure), before)
        except (NewsroomError, KafkaException) as error:
            self._failed(reason_of(error), before)
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
            if snapshot.error is not None and (before.snapshot is None or before.snapshot.error is None):
                log.warning("parts of the cluster are not shown", reason=snapshot.error)

    def _failed(self, reason: str, before: LatestSnapshot) -> None:
        self._store.failed(reason)
        if before.last_error is None:
            log.warning(NOT_TAKEN, reason=reason)

    def _collected(self, collector: Collector) -> Snapshot:
        """Take a snapshot.

        Raises:
            LastingFailure: the cluster refuses this client, or its brokers cannot be reached by their own names.
            NewsroomError: the cluster did not answer.
        """
        try:
            snapshot = collector.collect()
        except (NewsroomError, KafkaException):
            self._admin.poll(0)  # runs the error callback, which notes the cause
            self._access.no_answer()
            raise
        self._access.answered()
        names = {f"{broker.host}:{broker.port}" for broker in snapshot.brokers}
        if names != self._names:
            self._access.check_names(names)
            self._names = names
        return replace(snapshot, surroundings=self._neighbours.told())

    def _ask(self, neighbour: Neighbour[object]) -> None:
        while not self._stop.is_set():
            interval = Deadline(POLL_SECONDS)
            neighbour.turn()
            self._stop.wait(interval.left())

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
