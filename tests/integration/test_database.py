"""The locks of PostgreSQL: what two replicas that own a partition at the same time do to each other."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import create_engine, text

from avro_consumer import database as module
from avro_consumer.database import Database
from avro_consumer.records import Reading, Record
from newsroom.errors import ReplicaFenced
from newsroom.waiting import StopFlag, do_nothing
from support.postgres import postgres
from support.waiting import wait_for


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as address:
        yield address


class Replica(Database):
    """The database of one replica of a group."""

    def __init__(self, url: str, group: str) -> None:
        super().__init__(url, group, "news", seconds=5, stop=StopFlag(), tick=do_nothing)

    def store(self, offset: int) -> None:
        """Store one record of partition 0."""
        record = Record("news", 0, offset, 0, None, b"v")
        self.write([Reading(record, None, "v")], {0: offset}, {0: offset + 1})


def waiting_for_a_lock(url: str) -> bool:
    """Whether any connection waits for another one's lock."""
    engine = create_engine(url)
    with engine.connect() as connection:
        waits = connection.execute(text("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"))
        is_waiting = bool(waits.scalar_one())
    engine.dispose()
    return is_waiting


def test_a_new_owner_waits_for_the_transaction_of_the_old_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def stand_still(point: str) -> None:
        if point == "before-commit":
            reached.set()
            assert go_on.wait(10)

    with ExitStack() as resources:
        old, new = (resources.enter_context(Replica(url, "waits")) for _ in range(2))
        old.create_tables()
        old.claim([0])
        monkeypatch.setattr(module, "crash_point", stand_still)
        writer = threading.Thread(target=old.store, args=(0,))
        writer.start()
        assert reached.wait(10)
        claimed: list[dict[int, int | None]] = []
        owner = threading.Thread(target=lambda: claimed.append(new.claim([0])))
        owner.start()
        wait_for("the new owner waits", lambda: waiting_for_a_lock(url))
        assert claimed == []
        go_on.set()
        writer.join(10)
        owner.join(10)
        assert claimed == [{0: 1}]
        monkeypatch.undo()
        with pytest.raises(ReplicaFenced):
            old.store(1)
        new.store(1)


def test_replicas_that_begin_together_create_tables_and_rows_once(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("drop table if exists consumed_records, consumer_offsets"))
    engine.dispose()
    errors: list[Exception] = []
    together = threading.Barrier(4)

    def begin() -> None:
        try:
            with Replica(url, "together") as replica:
                together.wait(10)
                replica.create_tables()
                together.wait(30)
                replica.claim(range(6))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    replicas = [threading.Thread(target=begin) for _ in range(4)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join(40)
    assert errors == []
    with Replica(url, "together") as last:
        assert last.claim(range(6)) == dict.fromkeys(range(6))
        assert set(last._epochs.values()) == {5}
