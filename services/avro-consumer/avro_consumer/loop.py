"""Takes records, processes them, and commits their offsets. Kafka is behind `Source` and `DeadLetterSink`."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from avro_consumer import metrics
from newsroom.errors import ClusterUnavailable, DecodeError
from newsroom.logs import get_logger, output_is_lost
from newsroom.waiting import Deadline, Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from avro_consumer.records import Format, Reading, Record
    from avro_consumer.settings import AvroConsumerSettings
    from avro_consumer.sink import JsonLinesSink
    from newsroom.health import Health
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

SILENCE_SECONDS = 3
"""After this time without a record the loop logs `SILENCE`. The lab's consumer waits as long."""

READING_SECONDS = 20.0
"""After this time the rest of a batch waits for the next turn, because each record may need a call to the registry. A
turn may also wait 60 s for the registry and 30 s for dead letters, and must stay below max.poll.interval.ms (300 s)."""

SILENCE = f"No new messages, waiting {SILENCE_SECONDS} seconds"

JOIN_SECONDS = 15.0
"""How long a member may take to join its group at least, however late in the start its topic appeared."""


class Source(Protocol):
    """Gives records and commits their offsets: `avro_consumer.member.Member`."""

    @property
    def joined(self) -> bool:
        """Whether the member has joined its consumer group."""

    @property
    def without_records(self) -> str | None:
        """Why no records can come now; None if they can."""

    def take(self, limit: int) -> list[Record]:
        """Return at most `limit` records."""

    def put_back(self, records: Sequence[Record]) -> None:
        """Take back the unread records of the last `take`; the next `take` returns them."""

    def done(self, offsets: Mapping[int, int]) -> None:
        """Note the next offset of each partition after its records have taken effect."""

    def commit(self) -> None:
        """Commit the noted offsets."""


class DeadLetterSink(Protocol):
    """Sends poison records to the dead-letter topic: `avro_consumer.dead_letters.DeadLetters`."""

    def put(self, record: Record, error: Exception) -> None:
        """Hand over one poison record and its error."""

    def deliver(self) -> None:
        """Wait until every poison record is delivered."""


class Loop:
    """Reads records until a signal, `count` records, or `idle_exit` seconds without a record."""

    def __init__(
        self,
        settings: AvroConsumerSettings,
        *,
        start: Deadline,
        source: Source,
        form: Format,
        poison: DeadLetterSink,
        sink: JsonLinesSink | None,
        health: Health,
        stop: StopFlag,
    ) -> None:
        self._settings = settings
        self._source = source
        self._format = form
        self._poison = poison
        self._sink = sink
        self._health = health
        self._stop = stop
        self._processed = 0
        self._quiet_since = self._reported_at = time.monotonic()
        self._was_member = False
        self._joining = Deadline(max(start.left(), JOIN_SECONDS))

    def run(self) -> None:
        """Run the loop to its end.

        Raises:
            NewsroomError: a batch could not take effect; its offsets are not committed.
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
            # Commit even without records: an earlier commit may have failed for now.
            self._source.commit()
            self._note_joining()
            self._report_silence()
        unexpected = {"unexpected_types": self._format.unexpected} if self._format.unexpected else {}
        log.info("finished", processed=self._processed, **unexpected)

    def _take_effect(self, records: Sequence[Record]) -> None:
        readings, read_count = self._read_in_time(records)
        if self._sink is not None and readings:
            self._sink.write(readings)
        self._poison.deliver()
        self._show(readings)
        if self._sink is None and output_is_lost():
            # Nobody saw all of these records, so the next member reads them again. The stop signal is on its way.
            return
        # Last, so that an error above leaves these offsets uncommitted.
        self._source.done({record.partition: record.offset + 1 for record in records[:read_count]})
        self._processed += read_count
        metrics.RECORDS.labels(self._settings.source).inc(read_count)

    def _read_in_time(self, records: Sequence[Record]) -> tuple[list[Reading], int]:
        """Return the readings, and how many records were read, including poison records.

        The source takes the other records back. After a signal the next owner of their partitions reads them.
        """
        readings: list[Reading] = []
        read_count = 0
        limit = Deadline(READING_SECONDS)
        try:
            self._format.look_ahead(records)
            for record in records:
                if self._stop or limit.passed():
                    break
                # Tick for each record: the last one may have waited for the registry.
                self._health.tick()
                try:
                    readings.append(self._format.read(record))
                except DecodeError as error:
                    self._poison.put(record, error)
                read_count += 1
        except Stopped as stopped:
            log.warning("stopped while waiting for the schema registry", missing=str(stopped))
        if read_count < len(records):
            log.info("leaving the rest of a batch for later", read=read_count, left=len(records) - read_count)
            self._source.put_back(records[read_count:])
        return readings, read_count

    def _show(self, readings: list[Reading]) -> None:
        if logging.getLogger(__name__).isEnabledFor(logging.INFO):
            for reading in readings:
                log.info(self._format.show(reading))

    def _note_joining(self) -> None:
        if self._source.joined and not self._was_member:
            # Only a member can receive records, so silence counts from here.
            self._was_member = True
            self._quiet_since = self._reported_at = time.monotonic()

    def _report_silence(self) -> None:
        now = time.monotonic()
        if now - self._reported_at >= SILENCE_SECONDS:
            self._reported_at = now
            why = self._source.without_records
            log.info(SILENCE if why is None else f"Cannot receive messages: {why}")

    def _idle_for_long(self) -> bool:
        limit = self._settings.idle_exit
        return limit is not None and self._was_member and time.monotonic() - self._quiet_since >= limit

    def _check_joining(self) -> None:
        if not self._was_member and self._joining.passed():
            raise ClusterUnavailable(
                f"this member could not join consumer group {self._settings.group_id} within "
                f"{self._joining.seconds:.0f} s ({self._source.without_records}): check the brokers and the group's "
                "other members"
            )
