"""Takes records, reads them, and hands them to the mode of delivery. Kafka is behind `Source`."""

from __future__ import annotations

import time
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from avro_consumer import metrics
from avro_consumer.effect import Batch
from newsroom.errors import ClusterUnavailable, DecodeError, SchemaInDoubt
from newsroom.logs import get_logger
from newsroom.schemas.doubt import ROW
from newsroom.waiting import Deadline, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avro_consumer.delivery import Delivery
    from avro_consumer.records import Format, Record
    from avro_consumer.settings import AvroConsumerSettings
    from newsroom.health import Health
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

SILENCE_SECONDS = 3
"""After this time without a record the loop logs `SILENCE`. The lab's consumer waits as long."""

READING_SECONDS = 20.0
"""After this time the rest of a batch waits for the next turn, because each record may need a call to the registry. A
turn may also wait 60 s for the registry and 30 s for dead letters, and must stay below max.poll.interval.ms (300 s)."""

TICK_SECONDS = 1.0
"""How often the loop says that it turns while it reads a batch."""

DOUBT_SECONDS = 5.0
"""How long records in doubt wait for a record after them that shows who is to blame."""

DOUBT_PAUSE_SECONDS = 0.2
"""The pause before records in doubt are read again."""

SILENCE = f"No new messages, waiting {SILENCE_SECONDS} seconds"

JOIN_SECONDS = 15.0
"""How long a member may take to join its group at least, however late in the start its topic appeared."""


class Source(Protocol):
    """Gives records: `avro_consumer.member.Member`."""

    @property
    def joined(self) -> bool:
        """Whether the member has joined its consumer group."""

    @property
    def without_records(self) -> str | None:
        """Why no records can come now; None if they can."""

    @property
    def at_end(self) -> bool:
        """Whether everything was taken up to where the topic ended at the start."""

    def take(self, limit: int) -> list[Record]:
        """Return at most `limit` records."""

    def put_back(self, records: Sequence[Record]) -> None:
        """Take back the unread records of the last `take`; the next `take` returns them."""


class Loop:
    """Reads records until a signal, `count` records, or `idle_exit` seconds without a record."""

    def __init__(
        self,
        settings: AvroConsumerSettings,
        *,
        start: Deadline,
        source: Source,
        form: Format,
        delivery: Delivery,
        health: Health,
        stop: StopFlag,
    ) -> None:
        self._settings = settings
        self._source = source
        self._format = form
        self._delivery = delivery
        self._health = health
        self._stop = stop
        self._processed = 0
        self._in_doubt = 0
        """Records that the source took back, because their schemas are in doubt."""
        self._doubt = Deadline(0)
        self._quiet_since = self._reported_at = time.monotonic()
        self._was_member = False
        self._joining = Deadline(max(start.left(), JOIN_SECONDS))

    def run(self) -> None:
        """Run the loop to its end.

        Raises:
            NewsroomError: a batch could not take effect; its offsets are not committed, except with at-most-once.
        """
        count = self._settings.count
        while not self._finished():
            self._check_joining()
            self._health.tick()
            limit = self._settings.batch_size + self._in_doubt
            records = self._source.take(min(limit, count - self._processed) if count else limit)
            if records:
                self._process(self._read_in_time(records))
            else:
                self._delivery.rest()
            self._note_joining()
            self._report_silence()
        self._delivery.rest()
        unexpected = {"unexpected_types": self._format.unexpected} if self._format.unexpected else {}
        log.info("finished", processed=self._processed, **unexpected)

    def _finished(self) -> bool:
        count = self._settings.count
        return (
            bool(self._stop)
            or (count > 0 and self._processed >= count)
            or (self._settings.until_end and self._source.at_end)
            or self._idle_for_long()
        )

    def _process(self, batch: Batch) -> None:
        if batch.records:
            processed = self._delivery.process(batch)
            self._processed += processed
            metrics.RECORDS.labels(self._settings.source).inc(processed)
        else:
            self._delivery.rest()
        self._quiet_since = self._reported_at = time.monotonic()

    def _read_in_time(self, records: Sequence[Record]) -> Batch:
        """Read records; the source takes those back for which the time does not suffice.

        After a signal the next owner of their partitions reads them.
        """
        batch = Batch()
        try:
            self._format.look_ahead(records)
            self._read(records, batch)
        except Stopped as stopped:
            log.warning("stopped while waiting for the schema registry", missing=str(stopped))
        read_count = len(batch.readings) + len(batch.poison)
        if read_count < len(records):
            log.info("leaving the rest of a batch for later", read=read_count, left=len(records) - read_count)
            self._source.put_back(records[read_count:])
        batch.records = records[:read_count]
        self._hold_back(batch)
        return batch

    def _hold_back(self, batch: Batch) -> None:
        """Let the source take back the records in doubt at the end of a batch: the next ones show who is to blame."""
        rest = _in_doubt(batch)
        if not rest or len(rest) >= ROW or (self._in_doubt and self._doubt.passed()):
            self._in_doubt = 0
            return
        if not self._in_doubt:
            self._doubt = Deadline(DOUBT_SECONDS)
            why = str(batch.poison[-len(rest)][1])
            log.warning("records in doubt wait for those after them", at=rest[0].place, number=len(rest), why=why)
        self._in_doubt = len(rest)
        del batch.poison[-len(rest) :]
        batch.records = batch.records[: -len(rest)]
        self._source.put_back(rest)
        self._format.read_again()
        self._stop.wait(DOUBT_PAUSE_SECONDS)

    def _read(self, records: Sequence[Record], batch: Batch) -> None:
        """Read records into a batch until a signal or the time limit. Names are looked up once, not for each record."""
        readings = None if self._stop else self._format.read_all(records)
        if readings is not None:
            batch.readings = readings
            return
        stopped, read, keep, now = self._stop.is_set, self._format.read, batch.readings.append, time.monotonic
        limit, next_tick = now() + READING_SECONDS, now() + TICK_SECONDS
        for record in records:
            moment = now()
            if stopped() or moment >= limit:
                break
            if moment >= next_tick:
                # The last record may have waited for the registry.
                self._health.tick()
                next_tick = moment + TICK_SECONDS
            try:
                keep(read(record))
            except DecodeError as error:
                batch.poison.append((record, error))

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
                f"{self._joining.seconds:.0f} s ({self._source.without_records}): check the brokers, their "
                "advertised.listeners, and the group's other members"
            )


def _in_doubt(batch: Batch) -> Sequence[Record]:
    """The end of a batch, from the first record in doubt after the last one that could be read."""
    if not batch.poison:
        return ()
    last = batch.readings[-1].record if batch.readings else None
    number = sum(1 for _ in takewhile(lambda record: record is not last, reversed(batch.records)))
    for _, error in batch.poison[len(batch.poison) - number :]:
        if isinstance(error, SchemaInDoubt):
            break
        number -= 1
    return batch.records[len(batch.records) - number :]
