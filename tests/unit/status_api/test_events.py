"""Server-Sent Events: what they say, how a reader goes on, and what many readers cost."""

import http.client
import json
import select
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from status_api import events as events_module
from status_api import streams as streams_module
from status_api.events import KEPT, Feed
from status_api.history import History
from status_api.model import Rebalance
from status_api.store import SnapshotStore
from status_api.streams import AT_ONCE, Streams
from status_api.worker import Outbox
from support.served import Served
from support.waiting import wait_for
from unit.status_api.fakes import Site, a_snapshot

BEGAN = a_snapshot().collected_at
RUNNING = Rebalance(1, "avro-consumer", BEGAN, joined=("m-2",))
ENDED = replace(RUNNING, ended=BEGAN + timedelta(seconds=2), cause="a member joined")


class Reader:
    """A client that follows the events."""

    def __init__(self, port: int, last_id: str | None = None, version: str = "1.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.socket.sendall(f"GET /api/v1/events HTTP/{version}\r\nHost: localhost\r\n{resume}\r\n".encode())
        self._file = self.socket.makefile("rb")
        self.header = b"".join(iter(self._file.readline, b"\r\n")).decode()
        self._chunked = "chunked" in self.header
        self._text = ""

    def part(self) -> str:
        """The next part of the body; empty at the end."""
        if not self._chunked:
            return self._file.readline().decode()
        length = int(self._file.readline(), 16)
        data = self._file.read(length)
        assert self._file.readline() == b"\r\n"
        return data.decode()

    def event(self) -> dict[str, str]:
        """The next event, comments and the time of reconnecting apart."""
        while True:
            while "\n\n" not in self._text:
                part = self.part()
                assert part, "the stream has ended"
                self._text += part
            block, _, self._text = self._text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                return fields

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def served() -> Iterator[Served]:
    store = SnapshotStore(1.0)
    with Served(store) as served:
        wait_for("the worker", lambda: served.worker.booted, 10)
        yield served


def status(served: Served, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=15)
    connection.request(method, path)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def followers(served: Served) -> int:
    feed: Feed = served.app.extensions["feed"]
    return feed.followers


def test_a_reader_gets_the_newest_snapshot_at_once_and_what_comes_then(served: Served) -> None:
    served.store.succeeded(a_snapshot(1))
    reader = Reader(served.port)
    assert reader.header.startswith("HTTP/1.1 200 ")
    assert "text/event-stream" in reader.header
    assert "nosniff" in reader.header
    first = reader.event()
    body = json.loads(first["data"])
    assert (first["event"], body["snapshot_id"], body["lag"]["avro-consumer"]) == ("snapshot", "boot-1", 2)
    assert body["produced_per_second"]["news"] is None
    served.store.succeeded(replace(a_snapshot(2), rebalances=(RUNNING,)))
    began, second = reader.event(), reader.event()
    assert (began["event"], json.loads(began["data"])["joined"]) == ("rebalance", ["m-2"])
    assert json.loads(second["data"])["snapshot_id"] == "boot-2"
    served.store.succeeded(replace(a_snapshot(3), rebalances=(ENDED,)))
    assert json.loads(reader.event()["data"])["seconds"] == 2.0
    reader.close()
    wait_for("the worker sees that the reader is gone", lambda: followers(served) == 0, 10)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_reader_that_comes_back_misses_nothing(served: Served, version: str) -> None:
    served.store.succeeded(a_snapshot(1))
    reader = Reader(served.port, version=version)
    last_id = reader.event()["id"]
    reader.close()
    for number in range(2, 6):
        served.store.succeeded(a_snapshot(number))
    again = Reader(served.port, last_id, version)
    assert [json.loads(again.event()["data"])["snapshot_id"] for _ in range(4)] == [f"boot-{n}" for n in range(2, 6)]
    again.close()


@pytest.mark.parametrize(
    "last_id", ["other-1", "nonsense", "run-1", "run-9999", "-", "run--1", "run-²", "run-" + "9" * 5000]
)
def test_a_reader_whose_next_event_is_not_kept_is_told_so(last_id: str) -> None:
    feed, snapshot = Feed(History(), "run"), a_snapshot()
    for _ in range(KEPT + 2):
        feed.publish(snapshot)
    first, number = feed.start(last_id)
    assert first.startswith(b"event: gap\n")
    assert feed.after(number)[0].count(b"event: snapshot") == 1
    assert feed.start("run-2") == (b"", 2)
    assert feed.after(2)[0].count(b"event: snapshot") == KEPT


def test_rebalances_from_before_the_first_snapshot_are_no_events() -> None:
    feed = Feed(History(), "run")
    feed.publish(replace(a_snapshot(), rebalances=(ENDED,)))
    assert b"event: rebalance" not in feed.after(0)[0]


def test_200_open_streams_cost_nobody_an_answer_and_no_thread_and_a_stop_ends_them(served: Served) -> None:
    served.store.succeeded(a_snapshot(1))
    before = threading.active_count()
    with ExitStack() as stack:
        readers = []
        for _ in range(200):
            readers.append(Reader(served.port))
            stack.callback(readers[-1].close)
        assert followers(served) == 200
        assert threading.active_count() <= before + 4, "the worker's threads"
        for number in range(2, 12):
            served.store.succeeded(a_snapshot(number))
            assert status(served, "GET", "/livez") == 200
        for reader in readers:
            while json.loads(reader.event()["data"])["snapshot_id"] != "boot-11":
                """Read on."""
        assert served.stop() < 10
        assert [reader.part() for reader in readers] == [""] * 200


class Crowd:
    """More readers than one turn of the loop reaches twice, and the turns that are due."""

    def __init__(self, resources: ExitStack) -> None:
        self.feed = Feed(History())
        self.later: list[Callable[[], None]] = []
        self.ended: list[Any] = []
        streams = Streams(resources.enter_context(selectors.DefaultSelector()), self.later.append, self.ended.append)
        self.readers = []
        for ours, theirs in (socket.socketpair() for _ in range(2 * AT_ONCE + 1)):
            connection = TConn(Config(), resources.enter_context(Outbox(ours)), ("", 0), ("", 0))
            resources.enter_context(theirs).setblocking(False)
            connection.sock.follow(self.feed, 0)
            streams.add(connection)
            self.readers.append(theirs)

    def turn(self) -> int:
        """Let the loop turn once; how many readers have something now."""
        self.later.pop(0)()
        return sum(map(has_data, self.readers))


def test_many_readers_are_sent_an_event_some_at_a_time() -> None:
    with ExitStack() as resources:
        crowd = Crowd(resources)
        crowd.feed.publish(a_snapshot())
        crowd.readers[AT_ONCE].close()  # one that leaves meanwhile
        reached = []
        while crowd.later:
            reached.append(crowd.turn())
    assert reached == [AT_ONCE, 2 * AT_ONCE - 1, 2 * AT_ONCE]
    assert len(crowd.ended) == 1


def test_the_next_event_reaches_first_those_that_still_wait() -> None:
    with ExitStack() as resources:
        crowd = Crowd(resources)
        crowd.feed.publish(a_snapshot(1))
        assert crowd.turn() == AT_ONCE
        crowd.feed.publish(a_snapshot(2))
        crowd.later.reverse()  # the loop is told of the new event before it goes on
        assert crowd.turn() == AT_ONCE
        assert crowd.turn() == 2 * AT_ONCE


def has_data(reader: socket.socket) -> bool:
    return reader.fileno() >= 0 and bool(select.select([reader], [], [], 0)[0])


def test_a_reader_that_takes_nothing_is_let_go_and_holds_little(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "BEHIND_SECONDS", 0.1)
    served.store.succeeded(a_snapshot(1))
    reader = Reader(served.port)
    wait_for("the reader", lambda: followers(served) == 1, 10)
    feed: Feed = served.app.extensions["feed"]

    def gone() -> bool:
        with feed._lock:
            feed._add("snapshot", {"long": "x" * 500_000})
        if feed.wake:
            feed.wake()
        return followers(served) == 0

    wait_for("the worker lets it go", gone, 60)
    reader.close()


def test_heartbeats_come_while_nothing_happens(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "HEARTBEAT_SECONDS", 0.1)
    reader = Reader(served.port)
    parts = iter(reader.part, "")
    assert next(part for part in parts if part.startswith(":")) == ": heartbeat\n\n"
    reader.close()


def test_more_readers_than_allowed_are_refused_and_a_head_request_follows_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MOST_STREAMS", 1)
    assert status(served, "HEAD", "/api/v1/events") == 200
    reader = Reader(served.port)
    wait_for("the reader", lambda: followers(served) == 1, 10)
    refused = Reader(served.port)
    assert refused.header.startswith("HTTP/1.1 503 ")
    refused.close()
    reader.close()


def test_no_part_of_an_answer_waits_for_an_acknowledgement_of_the_part_before(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=15)
    connection.request("GET", "/livez")
    connection.getresponse().read()
    (ours,) = wait_for("the connection that is kept", lambda: list(served.worker._open))
    assert ours.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()


def test_another_server_says_that_it_sends_no_events(live_site: Site) -> None:
    assert live_site.client.get("/api/v1/events").status_code == 503


def test_of_many_rebalances_only_those_that_changed_are_events() -> None:
    feed = Feed(History(), "run")
    many = tuple(replace(ENDED, number=number) for number in range(10_000, 0, -1))
    for number in range(3):
        feed.publish(replace(a_snapshot(number), rebalances=many))
    feed.publish(replace(a_snapshot(4), rebalances=(replace(ENDED, number=10_001), *many)))
    assert feed.after(0)[0].count(b"event: rebalance") == 1
