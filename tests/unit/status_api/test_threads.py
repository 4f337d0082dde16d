"""The threads continue, whatever one of their turns raises."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException
from typing_extensions import override

from newsroom import access
from newsroom.errors import LastingFailure
from newsroom.health import Health
from newsroom.logs import configure_logging
from status_api import threads
from status_api.model import Snapshot
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from status_api.threads import ReaderThreads
from support.waiting import wait_for
from support.web import Web
from unit.status_api.fakes import a_snapshot

ERRORS = [RecursionError("too deep"), KeyError("unexpected"), KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))]
SECONDS = 20.0


class FakeReader:
    """A reader of tables whose first turns fail."""

    def __init__(self, *_: object) -> None:
        self.errors = list(ERRORS)
        self.reasons: list[str] = []
        self.recovered = threading.Event()

    def tables(self) -> None:
        return None

    def turn(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.recovered.set()

    def failed(self, reason: str) -> bool:
        self.reasons.append(reason)
        return True

    def close(self) -> None:
        return None


class FakeCollector:
    """A collector whose first snapshots fail."""

    def __init__(self, *_: object, **__: object) -> None:
        self.errors = list(ERRORS)

    def collect(self) -> Snapshot:
        if self.errors:
            raise self.errors.pop(0)
        return a_snapshot()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    reader = FakeReader()
    monkeypatch.setattr(threads, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(threads, "TableReader", lambda *_: reader)
    monkeypatch.setattr(threads, "table_consumer", lambda _: None)
    monkeypatch.setattr(threads, "admin_client", lambda *_: SimpleNamespace(poll=lambda _: None))
    monkeypatch.setattr(threads, "Collector", FakeCollector)
    return reader


class WatchedStore(SnapshotStore):
    """A store that remembers why attempts failed, and sets an event when one succeeds."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.reasons: list[str] = []
        self.recovered = threading.Event()

    @override
    def failed(self, reason: str) -> None:
        self.reasons.append(reason)
        super().failed(reason)

    @override
    def succeeded(self, snapshot: Snapshot) -> None:
        super().succeeded(snapshot)
        self.recovered.set()


@pytest.fixture
def store(reader: FakeReader, capsys: pytest.CaptureFixture[str]) -> Iterator[WatchedStore]:
    capsys.readouterr()  # capsys must replace stdout before logging takes it
    configure_logging("status-api")
    store = WatchedStore()
    reader_threads = ReaderThreads(StatusSettings(refresh=0.2), store, Health())
    reader_threads.start()
    assert store.recovered.wait(SECONDS)
    assert reader.recovered.wait(SECONDS)
    yield store
    reader_threads.stop()


def test_snapshots_continue_and_each_reason_is_kept(store: WatchedStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert store.reasons == [
        "the snapshot could not be taken: RecursionError in the status API; see its log",
        "the snapshot could not be taken: KeyError in the status API; see its log",
        ERRORS[2].args[0].str(),
    ]
    out = capsys.readouterr().out
    assert "too deep" in out
    assert "unexpected" in out


def test_tables_continue_and_each_reason_is_kept(store: WatchedStore, reader: FakeReader) -> None:
    assert store.read().snapshot is not None
    assert [reason.partition(": ")[2] for reason in reader.reasons] == [
        "RecursionError in the status API; see its log",
        "KeyError in the status API; see its log",
        ERRORS[2].args[0].str(),
    ]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("earlier", [False, True], ids=["before the first snapshot", "after it"])
def test_a_cause_that_stays_ends_the_start_and_is_shown_later(
    monkeypatch: pytest.MonkeyPatch, *, earlier: bool
) -> None:
    store, ends = WatchedStore(), list[LastingFailure]()
    if earlier:
        store.succeeded(a_snapshot())
    noted = threading.Event()
    refused = KafkaError(KafkaError._AUTHENTICATION, "Invalid username or password")

    def admin(_: object, __: object, clients_access: access.Access) -> object:
        def poll(_: float) -> None:
            for _ in range(2):
                clients_access.note(refused)
            noted.set()

        return SimpleNamespace(poll=poll)

    monkeypatch.setattr(threads, "admin_client", admin)
    monkeypatch.setattr(threads, "Collector", lambda *_, **__: SimpleNamespace(collect=fail))
    reader_threads = ReaderThreads(StatusSettings(refresh=0.2), store, Health(), end=ends.append)
    reader_threads.start()
    assert noted.wait(SECONDS)
    reader_threads.stop()
    assert all("Invalid username or password): check --sasl-username" in reason for reason in store.reasons)
    assert bool(ends) is not earlier


def fail() -> Snapshot:
    raise ERRORS[2]


@pytest.mark.usefixtures("reader")
def test_a_snapshot_has_what_the_neighbours_told() -> None:
    store = WatchedStore()

    def ready() -> bool:
        snapshot = store.read().snapshot
        return snapshot is not None and any(service.ready for service in snapshot.surroundings.services.items)

    with Web(lambda request: request.reply(200, b"{}")) as web:
        reader_threads = ReaderThreads(StatusSettings(refresh=0.2, services=f"a={web.url}"), store, Health())
        reader_threads.start()
        wait_for("a service that is ready", ready, SECONDS)
        reader_threads.stop()
    assert web.paths[0] == "/readyz"
