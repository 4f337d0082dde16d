"""What a batch of records causes: lines in the sink, dead letters, lines in the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from avro_consumer.records import PLACE
from newsroom.crash import AFTER_EFFECT, BEFORE_EFFECT, crash_point
from newsroom.logs import get_logger, output_is_lost

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from avro_consumer.records import Format, Reading, Record
    from avro_consumer.sink import JsonLinesSink

log = get_logger(__name__)


@dataclass(slots=True)
class Batch:
    """Records that were read and that take effect together."""

    readings: list[Reading] = field(default_factory=list)
    poison: list[tuple[Record, Exception]] = field(default_factory=list)
    records: Sequence[Record] = ()
    """All of them, as received."""

    @property
    def offsets(self) -> dict[int, int]:
        """Of each partition the offset after its last record."""
        return {partition: offset + 1 for partition, offset in dict(map(PLACE, self.records)).items()}

    @property
    def beginnings(self) -> dict[int, int]:
        """Of each partition the offset of its first record."""
        return dict(map(PLACE, reversed(self.records)))

    def only(self, partitions: Collection[int]) -> Batch:
        """The part of the batch that is of these partitions."""
        return Batch(
            [reading for reading in self.readings if reading.record.partition in partitions],
            [(record, error) for record, error in self.poison if record.partition in partitions],
            [record for record in self.records if record.partition in partitions],
        )


class DeadLetterSink(Protocol):
    """Sends poison records to the dead-letter topic: `avro_consumer.dead_letters.DeadLetters`."""

    def put(self, record: Record, error: Exception) -> None:
        """Hand over one poison record and its error."""

    def deliver(self) -> None:
        """Wait until every poison record is delivered."""


class Effect:
    """Lets batches take effect. With `as_fields` the log's lines also have a record's place and key as fields."""

    def __init__(
        self, form: Format, poison: DeadLetterSink, sink: JsonLinesSink | None = None, *, as_fields: bool = False
    ) -> None:
        self._format = form
        self._poison = poison
        self._sink = sink
        self._as_fields = as_fields

    def take(self, batch: Batch) -> bool:
        """Write, send and show a batch; return whether anybody can have seen all of it.

        Raises:
            NewsroomError: the sink or the dead-letter topic failed.
        """
        crash_point(BEFORE_EFFECT)
        if self._sink is not None and batch.readings:
            self._sink.write(batch.readings)
        self.send_poison(batch)
        self.show(batch)
        crash_point(AFTER_EFFECT)
        return self._sink is not None or not output_is_lost()

    def send_poison(self, batch: Batch) -> None:
        """Send the poison records to the dead-letter topic, and wait for their delivery."""
        for record, error in batch.poison:
            self._poison.put(record, error)
        if batch.poison:
            self._poison.deliver()

    def show(self, batch: Batch) -> None:
        """Log a line for each record that could be read."""
        if logging.getLogger(__name__).isEnabledFor(logging.INFO):
            for reading in batch.readings:
                log.info(self._format.show(reading), **(reading.fields if self._as_fields else {}))
