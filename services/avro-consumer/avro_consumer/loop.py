"""The loop: take records, let them take effect, commit. It knows Kafka only as `Member` and `DeadLetters`."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from avro_consumer import metrics
from newsroom.errors import ClusterUnavailable, DecodeError, RegistryUnavailable
from newsroom.logs import get_logger
from newsroom.waiting import Deadline, Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from avro_consumer.records import Format, Reading, Record
    from avro_consumer.settings import AvroConsumerSettings
    from avro_consumer.sink import JsonLinesSink
    from newsroom.health import Health
    from newsroom.schemas.registry import Patience
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

SILENCE_SECONDS = 3
"""The lab's wait: so long without a record, and the reader is told."""

READING_SECONDS = 20.0
"""After this the rest of a batch waits for the next turn. Reading may ask the registry for each record; a member that
does not ask for more within 300 s loses its partitions, and a turn may also wait 60 s for the registry and 30 s for
dead letters."""

SILENCE = f"No new messages, waiting {SILENCE_SECONDS} seconds"


class Source(Protocol):
    """Where records come from: `avro_consumer.member.Member`."""

    @property
    def joined(self) -> bool:
        """Whether the group has taken the member in."""

    def take(self, limit: int) -> list[Record]:
        """Records, at most `limit`."""

    def put_back(self, records: Sequence[Record]) -> None:
        """Records of the last `take` that were not read: they come again."""

    def done(self, progress: Mapping[int, int]) -> None:
        """Records have taken effect."""

    def commit(self) -> None:
        """Commit what is done."""


class DeadLetterSink(Protocol):
    """Where poison records go: `avro_consumer.dead_letters.DeadLetters`."""

    def put(self, record: Record, error: Exception) -> None:
        """Hand one over."""

    def deliver(self) -> None:
        """Wait for all of them."""


class Loop:
    """Reads until a signal, `count` records, or `idle_exit` seconds of silence."""

    def __init__(
        self,
        settings: AvroConsumerSettings,
        *,
        source: Source,
        form: Format,
        poison: DeadLetterSink,
        sink: JsonLinesSink | None,
        patience: Patience,
        health: Health,
        stop: StopFlag,
    ) -> None:
        self._settings = settings
        self._source = source
        self._format = form
        self._poison = poison
        self._sink = sink
        self._patience = patience
        self._health = health
        self._stop = stop
        self._processed = 0
        self._quiet_since = self._reported_at = time.monotonic()
        self._was_member = False

    def run(self) -> None:
        """Run to the end.

        Raises:
            NewsroomError: a batch could not take effect; nothing of it is committed.
        """
        count = self._settings.count
        while not self._stop and not (count and self._processed >= count) and not self._idle_for_long():
            self._check_joining()
            self._health.tick()
            limit = self._settings.batch_size
            records = self._source.take(min(limit, count - self._processed) if count else limit)
            if records:
                self._take_effect(records)
                self._quiet_since = self._reported_at = time.monotonic()
            # Also without records: offsets that an earlier commit could not place wait for this one.
            self._source.commit()
            self._note_joining()
            self._report_silence()
        log.info("finished", processed=self._processed)

    def _take_effect(self, records: Sequence[Record]) -> None:
        readings, taken = self._read_in_time(records)
        if self._sink is not None and readings:
            self._sink.write(readings)
        self._poison.deliver()
        # Only now: whatever failed above leaves the member with nothing new to commit.
        self._source.done({record.partition: record.offset + 1 for record in records[:taken]})
        self._processed += taken
        metrics.RECORDS.labels(self._settings.source).inc(taken)
        self._show(readings)

    def _read_in_time(self, records: Sequence[Record]) -> tuple[list[Reading], int]:
        """What was read, and how many records that took, poison included.

        The rest of them was never touched: it is put back, and after a signal read again by whoever comes next.
        """
        readings: list[Reading] = []
        taken = 0
        limit = Deadline(READING_SECONDS)
        try:
            for record in records:
                if self._stop or limit.passed():
                    break
                # Between two records: one may have waited for the registry.
                self._health.tick()
                try:
                    readings.append(self._read(record))
                except DecodeError as error:
                    self._poison.put(record, error)
                taken += 1
        except Stopped as stopped:
            log.warning("stopped while the schema registry did not answer", missing=str(stopped))
        if taken < len(records):
            log.info("the rest of a batch is read later", read=taken, left=len(records) - taken)
            self._source.put_back(records[taken:])
        return readings, taken

    def _read(self, record: Record) -> Reading:
        try:
            return self._format.read(record)
        except RegistryUnavailable:
            return self._patience.ask(partial(self._format.read, record), record.place)

    def _show(self, readings: list[Reading]) -> None:
        if logging.getLogger(__name__).isEnabledFor(logging.INFO):
            for reading in readings:
                log.info(self._format.show(reading))

    def _note_joining(self) -> None:
        if self._source.joined and not self._was_member:
            # Silence counts from the moment records could come.
            self._was_member = True
            self._quiet_since = self._reported_at = time.monotonic()

    def _report_silence(self) -> None:
        now = time.monotonic()
        if now - self._reported_at >= SILENCE_SECONDS:
            self._reported_at = now
            log.info(SILENCE)

    def _idle_for_long(self) -> bool:
        limit = self._settings.idle_exit
        return limit is not None and self._was_member and time.monotonic() - self._quiet_since >= limit

    def _check_joining(self) -> None:
        limit = self._settings.idle_exit
        if limit is None or self._was_member:
            return
        quiet = time.monotonic() - self._quiet_since
        if quiet >= limit + self._settings.start_timeout:
            raise ClusterUnavailable(
                f"group {self._settings.group_id} did not take this member in within {quiet:.0f} s: see its other "
                "members"
            )
