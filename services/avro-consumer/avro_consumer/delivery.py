"""When a batch takes effect and when its offsets are committed: what each `--delivery` promises after a crash.

docs/delivery.md has what each mode loses and repeats at each crash point, as measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from typing_extensions import override

from newsroom.crash import AFTER_COMMIT, BEFORE_COMMIT, crash_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from avro_consumer.effect import Batch, Effect
    from avro_consumer.records import Reading, Record
    from newsroom.waiting import StopFlag

REFUSED_SECONDS = 0.2
"""The pause after a commit that the cluster did not accept, before the records are offered again."""


class Commits(Protocol):
    """Commits offsets: `avro_consumer.member.Member`."""

    @property
    def uncommitted(self) -> frozenset[int]:
        """The partitions whose noted offsets the cluster has not accepted."""

    def put_back(self, records: Sequence[Record]) -> None:
        """Take records back; the next `take` returns them."""

    def done(self, offsets: Mapping[int, int]) -> None:
        """Note the next offset of each partition."""

    def forget(self, partitions: frozenset[int]) -> None:
        """Forget the noted offsets of these partitions."""

    def begin_commit(self) -> None:
        """Send the noted offsets; `settle` waits for the answer."""

    def settle(self) -> bool:
        """Wait for the answer to the commit that was begun; return whether the cluster accepted it."""

    def commit(self) -> None:
        """Commit the noted offsets and wait for the answer."""


class Rows(Protocol):
    """Stores rows and offsets in one transaction: `avro_consumer.database.Database`."""

    def write(self, readings: Sequence[Reading], beginnings: Mapping[int, int], offsets: Mapping[int, int]) -> None:
        """Store a batch, or nothing of it."""


class Delivery(Protocol):
    """One mode of delivery."""

    def process(self, batch: Batch) -> int:
        """Let a batch take effect and commit it, in the order that the mode promises; return the records processed.

        Raises:
            NewsroomError: the batch, or the commit of an earlier one, failed.
        """

    def rest(self) -> None:
        """End what is under way, because there is no batch now."""


class AtLeastOnce(Delivery):
    """Commits after the effect. While a commit is under way the loop fetches and reads the next batch."""

    def __init__(self, source: Commits, effect: Effect) -> None:
        self._source = source
        self._effect = effect

    @override
    def process(self, batch: Batch) -> int:
        # One batch at most is without a committed offset, so a crash repeats one batch at most.
        self._settle()
        if not self._effect.take(batch):
            # Nobody saw all of these records, so the next member reads them again. The stop signal is on its way.
            return 0
        self._source.done(batch.offsets)
        crash_point(BEFORE_COMMIT)
        self._source.begin_commit()
        return len(batch.records)

    @override
    def rest(self) -> None:
        self._settle()
        # Also offsets that an earlier commit could not bring to the cluster.
        self._source.commit()

    def _settle(self) -> None:
        if self._source.settle():
            crash_point(AFTER_COMMIT)


class AtMostOnce(Delivery):
    """Commits before the effect: only records whose offsets the cluster has accepted take effect."""

    def __init__(self, source: Commits, effect: Effect, stop: StopFlag) -> None:
        self._source = source
        self._effect = effect
        self._stop = stop

    @override
    def process(self, batch: Batch) -> int:
        offsets = batch.offsets
        self._source.done(offsets)
        crash_point(BEFORE_COMMIT)
        self._source.commit()
        refused = self._source.uncommitted & offsets.keys()
        if refused:
            self._source.forget(frozenset(refused))
            self._source.put_back(batch.only(refused).records)
            batch = batch.only(offsets.keys() - refused)
            self._stop.wait(REFUSED_SECONDS)
        if batch.records:
            crash_point(AFTER_COMMIT)
            self._effect.take(batch)
        return len(batch.records)

    @override
    def rest(self) -> None:
        """Nothing is under way: the commit was waited for."""


class ExactlyOnce(Delivery):
    """Stores rows and offsets in one transaction. The group's offsets at the cluster only show the lag."""

    def __init__(self, source: Commits, effect: Effect, database: Rows) -> None:
        self._source = source
        self._effect = effect
        self._database = database

    @override
    def process(self, batch: Batch) -> int:
        self._source.settle()
        # First: a dead letter may come twice after a crash, but never be missing.
        self._effect.send_poison(batch)
        self._database.write(batch.readings, batch.beginnings, batch.offsets)
        self._effect.show(batch)
        self._source.done(batch.offsets)
        self._source.begin_commit()
        return len(batch.records)

    @override
    def rest(self) -> None:
        self._source.commit()


class Uncommitted(Delivery):
    """Commits nothing: nobody does (`never`), or the client does by its clock (`auto`)."""

    def __init__(self, effect: Effect) -> None:
        self._effect = effect

    @override
    def process(self, batch: Batch) -> int:
        self._effect.take(batch)
        return len(batch.records)

    @override
    def rest(self) -> None:
        """Nothing is under way."""
