"""Rows and offsets in one transaction of SQLite: fencing, resuming, and a database that fails."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.exc import OperationalError

from avro_consumer import database as module
from avro_consumer.database import RECORDS, Database
from avro_consumer.errors import SinkFailed
from avro_consumer.records import Reading, Record
from newsroom.errors import ReplicaFenced, SettingsError, TopicMismatch
from newsroom.waiting import StopFlag, do_nothing

Open = Callable[[], Database]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/consumed.sqlite"


@pytest.fixture
def replica(url: str) -> Iterator[Open]:
    """Opens the database for one more replica."""
    with ExitStack() as resources:

        def opened() -> Database:
            database = Database(url, "g", "news", seconds=0.2, stop=StopFlag(), tick=do_nothing)
            resources.callback(database.__exit__, None, None, None)
            database.create_tables()
            return database

        yield opened


def reading(offset: int, partition: int = 0, value: object = "v", key: str | None = "k") -> Reading:
    return Reading(Record("news", partition, offset, 1_700_000_000_000, b"k", b"v"), key, value)  # type: ignore[arg-type]


def rows(url: str, query: str = "select partition, record_offset from consumed_records order by 1, 2") -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return list(rows)


def test_a_replica_continues_where_the_database_says(url: str, replica: Open) -> None:
    first = replica()
    assert first.claim([1, 0]) == {0: None, 1: None}
    first.write([reading(4), reading(5)], {0: 4}, {0: 7})
    assert replica().claim([0, 1]) == {0: 7, 1: None}
    assert rows(url) == [(0, 4), (0, 5)]


def test_a_replica_whose_partition_has_another_owner_writes_nothing(url: str, replica: Open) -> None:
    first, second = replica(), replica()
    first.claim([0, 1])
    second.claim([1])
    with pytest.raises(ReplicaFenced, match=r"another replica of group g has taken over news partition 1"):
        first.write([reading(0), reading(0, partition=1)], {0: 0, 1: 0}, {0: 1, 1: 1})
    assert rows(url) == []
    first.write([reading(0)], {0: 0}, {0: 1})
    second.write([reading(0, partition=1)], {1: 0}, {1: 1})
    assert rows(url) == [(0, 0), (1, 0)]


def test_a_partition_that_was_never_claimed_is_not_written(url: str, replica: Open) -> None:
    replica().claim([0])
    with pytest.raises(ReplicaFenced):
        replica().write([reading(0)], {0: 0}, {0: 1})
    assert rows(url) == []


def test_values_are_json_and_a_key_keeps_its_zero_as_an_escape(url: str, replica: Open) -> None:
    database = replica()
    database.claim([0])
    written = [
        reading(0, value="a\0b", key="k\0"),
        reading(1, value={"title": "Räin"}),
        reading(2, value=None, key=None),
    ]
    database.write(written, {0: 0}, {0: 3})
    (first, second, third) = rows(url, "select record_key, record_value from consumed_records order by record_offset")
    assert first == ("k\\x00", '"a\\u0000b"')
    assert json.loads(second[1]) == {"title": "Räin"}  # type: ignore[index]
    assert third == (None, None)


def test_a_commit_whose_answer_was_lost_is_not_made_again(
    url: str, replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = replica()
    database.claim([0])
    passed: list[str] = []

    def lose_the_answer(point: str) -> None:
        passed.append(point)
        if point == "after-commit" and passed.count(point) == 1:
            raise OperationalError("commit", None, Exception("server closed the connection"))

    monkeypatch.setattr(module, "crash_point", lose_the_answer)
    database.write([reading(0)], {0: 0}, {0: 1})
    assert rows(url) == [(0, 0)]
    assert passed.count("before-commit") == 1


def test_an_earlier_offset_than_the_stored_one_is_of_another_topic(url: str, replica: Open) -> None:
    database = replica()
    database.claim([0])
    database.write([reading(9)], {0: 9}, {0: 10})
    with pytest.raises(TopicMismatch, match=r"continues news partition 0 at offset 10, but the cluster gave offset 0"):
        database.write([reading(0)], {0: 0}, {0: 1})
    assert rows(url) == [(0, 9)]


def test_rows_that_are_there_are_a_sentence(url: str, replica: Open) -> None:
    database = replica()
    database.claim([0])
    engine = create_engine(url)
    with engine.begin() as connection:
        row = {"consumer_group": "g", "topic": "news", "partition": 0, "record_offset": 0, "timestamp_ms": 0}
        connection.execute(insert(RECORDS), row)
    engine.dispose()
    with pytest.raises(SinkFailed, match=r"refuses rows of news .*UNIQUE.*docs/delivery.md"):
        database.write([reading(0)], {0: 0}, {0: 1})


def test_a_database_that_does_not_answer_is_a_sentence_without_its_password() -> None:
    address = "postgresql+psycopg://u:secret@127.0.0.1:9/d"
    with (
        Database(address, "g", "news", seconds=0.1, stop=StopFlag(), tick=do_nothing) as database,
        pytest.raises(SinkFailed, match=r"u:\*\*\*@127\.0\.0\.1:9/d does not answer .* for 0\.1 s") as caught,
    ):
        database.create_tables()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["no url", "oracle+none://u:secret@h/d"])
def test_a_wrong_url_is_a_sentence_without_its_password(address: str) -> None:
    with pytest.raises(SettingsError, match=r"--database is not the URL .*write sqlite") as caught:
        Database(address, "g", "news", seconds=1, stop=StopFlag(), tick=do_nothing)
    assert "secret" not in str(caught.value)
