"""Stores rows and offsets in one transaction of a database, so that a crash neither loses nor repeats a row.

docs/delivery.md describes the tables. `claim` gives each partition a new epoch, and `write` locks the partition's row
and compares the epoch: a replica whose partition another one has claimed writes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)

from avro_consumer.errors import SinkFailed
from avro_consumer.sink import as_json
from newsroom.crash import AFTER_COMMIT, AFTER_EFFECT, BEFORE_COMMIT, BEFORE_EFFECT, crash_point
from newsroom.errors import NotYet, ReplicaFenced, SettingsError, TopicMismatch
from newsroom.waiting import Deadline, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from avro_consumer.records import Reading
    from newsroom.waiting import StopFlag

T = TypeVar("T")

LONGEST_NAME = 255
"""Characters of a topic's or a group's name. A topic's name has at most 249."""

TABLES = MetaData()

OFFSETS = Table(
    "consumer_offsets",
    TABLES,
    Column("consumer_group", String(LONGEST_NAME), primary_key=True),
    Column("topic", String(LONGEST_NAME), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger),  # null: nothing was stored yet
    Column("epoch", BigInteger, nullable=False),
)

RECORDS = Table(
    "consumed_records",
    TABLES,
    Column("consumer_group", String(LONGEST_NAME), primary_key=True),
    Column("topic", String(LONGEST_NAME), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("record_offset", BigInteger, primary_key=True),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("record_key", Text),
    Column("record_type", Text),
    Column("record_value", Text),
)

POSTGRESQL: dict[str, Any] = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    # A replica that stands still in a transaction holds the lock of its partitions: the server ends that transaction,
    # and the next owner goes on.
    "options": "-c statement_timeout=30s -c lock_timeout=20s -c idle_in_transaction_session_timeout=10s",
}
"""What bounds every wait for PostgreSQL."""

SQLITE_SECONDS = 20.0
"""How long SQLite waits for the lock of another process."""


class Database:
    """The tables of one consumer group's topic. A context manager: its exit closes the connections.

    A statement that fails because the database does not answer is tried again for `seconds`.
    """

    def __init__(
        self, url: str, group: str, topic: str, *, seconds: float, stop: StopFlag, tick: Callable[[], None]
    ) -> None:
        self._engine = _engine(url)
        self._name = self._engine.url.render_as_string(hide_password=True)
        self._group = group
        self._topic = topic
        self._seconds = seconds
        self._stop = stop
        self._tick = tick
        self._epochs: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()

    def create_tables(self) -> None:
        """Create the tables that are missing.

        Raises:
            SinkFailed: the database refuses, or does not answer in time.
            Stopped: a signal arrived during the wait.
        """

        def attempt() -> None:
            try:
                TABLES.create_all(self._engine)
            except (ProgrammingError, IntegrityError) as error:
                raise NotYet(f"another replica may be creating the tables ({_reason(error)})") from error

        self._retried(attempt)

    def claim(self, partitions: Iterable[int]) -> dict[int, int | None]:
        """Take over partitions from their earlier owners; return the offset at which each one continues.

        None means that the database has nothing of the partition.

        Raises:
            SinkFailed: the database refuses, or does not answer in time.
            Stopped: a signal arrived during the wait.
        """
        # In this order in every replica, so that two of them do not wait for each other.
        numbers = sorted(partitions)

        def attempt() -> dict[int, tuple[int, int | None]]:
            try:
                with self._engine.begin() as connection:
                    return {number: self._claim(connection, number) for number in numbers}
            except IntegrityError as error:
                raise NotYet(f"another replica claims a partition, too ({_reason(error)})") from error

        rows = self._retried(attempt)
        self._epochs |= {number: epoch for number, (epoch, _) in rows.items()}
        return {number: offset for number, (_, offset) in rows.items()}

    def _claim(self, connection: Connection, partition: int) -> tuple[int, int | None]:
        """Raise the epoch of a partition, which waits for a transaction of its earlier owner."""
        place = self._place(partition)
        if connection.execute(update(OFFSETS).where(*place).values(epoch=OFFSETS.c.epoch + 1)).rowcount == 0:
            row = {"consumer_group": self._group, "topic": self._topic, "partition": partition, "epoch": 1}
            connection.execute(insert(OFFSETS), row)
        epoch, offset = connection.execute(select(OFFSETS.c.epoch, OFFSETS.c.next_offset).where(*place)).one()
        return epoch, offset

    def write(self, readings: Sequence[Reading], beginnings: Mapping[int, int], offsets: Mapping[int, int]) -> None:
        """Store rows and next offsets in one transaction; `beginnings` are the offsets of the first records.

        Raises:
            ReplicaFenced: another replica has claimed one of the partitions. Nothing was stored.
            SinkFailed: the database refuses the rows, or does not answer in time.
            Stopped: a signal arrived during the wait.
            TopicMismatch: the database has later records of the topic.
        """
        rows = [self._row(reading) for reading in readings]
        first = True

        def attempt() -> None:
            nonlocal first
            again, first = not first, False
            with self._engine.begin() as connection:
                crash_point(BEFORE_EFFECT)
                stored = self._lock(connection, offsets)
                if again and stored == offsets:
                    return  # the commit of the last attempt had reached the database before the connection broke
                self._check_beginnings(beginnings, stored)
                if rows:
                    connection.execute(insert(RECORDS), rows)
                crash_point(AFTER_EFFECT)
                for partition, offset in sorted(offsets.items()):
                    connection.execute(update(OFFSETS).where(*self._place(partition)).values(next_offset=offset))
                crash_point(BEFORE_COMMIT)
            crash_point(AFTER_COMMIT)

        self._retried(attempt)

    def _lock(self, connection: Connection, partitions: Collection[int]) -> dict[int, int | None]:
        """Lock the rows of partitions until the transaction ends; return their next offsets."""
        columns = (OFFSETS.c.partition, OFFSETS.c.epoch, OFFSETS.c.next_offset)
        ours = (OFFSETS.c.consumer_group == self._group, OFFSETS.c.topic == self._topic)
        query = select(*columns).where(*ours, OFFSETS.c.partition.in_(sorted(partitions)))
        rows = connection.execute(query.order_by(OFFSETS.c.partition).with_for_update()).all()
        epochs = {partition: epoch for partition, epoch, _ in rows}
        for partition in partitions:
            if partition not in epochs or epochs[partition] != self._epochs.get(partition):
                raise ReplicaFenced(
                    f"another replica of group {self._group} has taken over {self._topic} partition {partition}: "
                    "nothing of this batch was written, and a restarted replica continues from the database's offsets",
                    topic=self._topic,
                    partition=partition,
                )
        return {partition: offset for partition, _, offset in rows}

    def _check_beginnings(self, beginnings: Mapping[int, int], stored: Mapping[int, int | None]) -> None:
        for partition, offset in beginnings.items():
            next_offset = stored[partition]
            if next_offset is not None and offset < next_offset:
                raise TopicMismatch(
                    f"{self._name} continues {self._topic} partition {partition} at offset {next_offset}, but the "
                    f"cluster gave offset {offset}: the topic was made anew; use another --database or --group",
                    topic=self._topic,
                    partition=partition,
                    offset=offset,
                )

    def _place(self, partition: int) -> tuple[Any, ...]:
        return (
            OFFSETS.c.consumer_group == self._group,
            OFFSETS.c.topic == self._topic,
            OFFSETS.c.partition == partition,
        )

    def _row(self, reading: Reading) -> dict[str, Any]:
        record = reading.record
        return {
            "consumer_group": self._group,
            "topic": record.topic,
            "partition": record.partition,
            "record_offset": record.offset,
            "timestamp_ms": record.timestamp,
            # PostgreSQL's text cannot hold a zero; in JSON it is an escape.
            "record_key": None if reading.key is None else reading.key.replace("\0", "\\x00"),
            "record_type": reading.type_name or None,
            "record_value": None if reading.value is None else as_json(reading.value),
        }

    def _retried(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until the database answers, for the seconds that it may take."""

        def once() -> T:
            try:
                return attempt()
            except (OperationalError, InterfaceError) as error:
                raise NotYet(f"database {self._name} does not answer ({_reason(error)})") from error
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise NotYet(f"database {self._name} closed the connection ({_reason(error)})") from error
                raise SinkFailed(
                    f"database {self._name} refuses rows of {self._topic} ({_reason(error)}): nothing of this batch "
                    "was written; compare its tables with docs/delivery.md, then start again"
                ) from error

        return Wait(Deadline(self._seconds), self._stop, self._tick).until(
            once,
            lambda missing: SinkFailed(
                f"{missing} for {self._seconds:g} s: nothing of this batch was written; start the database or correct "
                "--database"
            ),
        )


def _engine(url: str) -> Engine:
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return _sqlite(address)
        bounds = POSTGRESQL if address.get_backend_name() == "postgresql" else {}
        return create_engine(address, connect_args=bounds)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        # Without the URL, which may hold a password.
        raise SettingsError(
            f"--database is not the URL of a database that can be used ({type(error).__name__}): write "
            "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        ) from error


def _sqlite(address: URL) -> Engine:
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args={"timeout": SQLITE_SECONDS})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's type of any driver's connection
        # The driver would begin a transaction too late, at the first change.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _reason(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
