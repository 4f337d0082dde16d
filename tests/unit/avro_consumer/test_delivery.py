"""The order of effect and commit in each mode, and what becomes of a commit that is not accepted."""

from collections.abc import Mapping, Sequence

import pytest
from typing_extensions import override

from avro_consumer.delivery import AtLeastOnce, AtMostOnce, Delivery, ExactlyOnce, Uncommitted
from avro_consumer.effect import Batch, Effect
from avro_consumer.records import Reading, Record, StringFormat
from newsroom.waiting import StopFlag


class Journal:
    """Source, effect and database in one: what was called, in order."""

    def __init__(self, refused: frozenset[int] = frozenset()) -> None:
        self.calls: list[str] = []
        self.refused = refused
        self.returned: list[Record] = []
        self.noted: dict[int, int] = {}
        self.forgotten: frozenset[int] = frozenset()

    @property
    def uncommitted(self) -> frozenset[int]:
        return self.refused

    def put_back(self, records: Sequence[Record]) -> None:
        self.returned += records

    def done(self, offsets: Mapping[int, int]) -> None:
        self.noted |= offsets

    def forget(self, partitions: frozenset[int]) -> None:
        self.forgotten = partitions

    def begin_commit(self) -> None:
        self.calls.append("begin")

    def settle(self) -> bool:
        self.calls.append("settle")
        return True

    def commit(self) -> None:
        self.calls.append("commit")

    def write(self, readings: Sequence[Reading], beginnings: Mapping[int, int], offsets: Mapping[int, int]) -> None:
        self.calls.append(f"rows {len(readings)} {dict(beginnings)} {dict(offsets)}")


class Poison:
    """Takes dead letters."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def put(self, record: Record, _: Exception) -> None:
        self._journal.calls.append(f"letter {record.partition}:{record.offset}")

    def deliver(self) -> None:
        self._journal.calls.append("delivered")


class ShownEffect(Effect):
    """Notes each reading that is shown."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(StringFormat(), Poison(journal))
        self._journal = journal

    @override
    def show(self, batch: Batch) -> None:
        self._journal.calls += [f"effect {reading.record.partition}" for reading in batch.readings]


def batch() -> Batch:
    records = [Record("t", 0, 5, 0, None, b"a"), Record("t", 1, 8, 0, None, b"b"), Record("t", 0, 6, 0, None, b"\xff")]
    return Batch([Reading(record, None, "x") for record in records[:2]], [(records[2], ValueError())], records)


EFFECT = ["letter 0:6", "delivered", "effect 0", "effect 1"]


def delivery(mode: str, journal: Journal) -> Delivery:
    effect = ShownEffect(journal)
    return {
        "at-least-once": AtLeastOnce(journal, effect),
        "at-most-once": AtMostOnce(journal, effect, StopFlag()),
        "exactly-once": ExactlyOnce(journal, effect, journal),
        "never": Uncommitted(effect),
    }[mode]


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        ("at-least-once", ["settle", *EFFECT, "begin"]),
        ("at-most-once", ["commit", *EFFECT]),
        (
            "exactly-once",
            ["settle", *EFFECT[:2], "rows 2 {0: 5, 1: 8} {0: 7, 1: 9}", *EFFECT[2:], "begin"],
        ),
        ("never", EFFECT),
    ],
)
def test_the_order_of_effect_and_commit_is_that_of_the_mode(mode: str, calls: list[str]) -> None:
    journal = Journal()
    assert delivery(mode, journal).process(batch()) == 3
    assert journal.calls == calls
    assert journal.noted == ({} if mode == "never" else {0: 7, 1: 9})


def test_at_most_once_gives_back_what_the_cluster_did_not_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.delivery.REFUSED_SECONDS", 0.0)
    journal = Journal(refused=frozenset({0, 7}))
    assert delivery("at-most-once", journal).process(batch()) == 1
    assert journal.calls == ["commit", "effect 1"]
    assert [(record.partition, record.offset) for record in journal.returned] == [(0, 5), (0, 6)]
    assert journal.forgotten == {0}


def test_at_most_once_without_an_accepted_partition_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.delivery.REFUSED_SECONDS", 0.0)
    journal = Journal(refused=frozenset({0, 1}))
    assert delivery("at-most-once", journal).process(batch()) == 0
    assert journal.calls == ["commit"]
    assert len(journal.returned) == 3


@pytest.mark.parametrize(
    ("mode", "calls"),
    [("at-least-once", ["settle", "commit"]), ("at-most-once", []), ("exactly-once", ["commit"]), ("never", [])],
)
def test_a_turn_without_records_ends_what_is_under_way(mode: str, calls: list[str]) -> None:
    journal = Journal()
    delivery(mode, journal).rest()
    assert journal.calls == calls
