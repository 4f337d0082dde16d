"""What the status API costs: .venv/bin/python benchmarks/status.py [GROUPS | URL [PID]]. GROUPS needs no cluster.

The groups have one member and six partitions each, on 200 topics, and none has read everything. First comes the load:
200 readers of events, a scrape a second and requests in turn, over real connections, beside a snapshot a second, after
ten minutes of history. With
URL it is that of a running status API, whose memory is told if PID is its process. Then come the steps of a snapshot:
each time is the shortest of twelve, in one thread.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from typing_extensions import override

from newsroom.health import Health
from status_api import process
from status_api.app import create_app
from status_api.known import KnownGroups, SilentMembers
from status_api.main import StatusServer, listen
from status_api.model import Broker, Group, GroupMember, GroupPartition, Partition, Snapshot, TopicState
from status_api.progress import Progress
from status_api.rebalances import RebalanceLog
from status_api.rows import by_key, with_offsets
from status_api.settings import StatusSettings
from status_api.status import Judge
from status_api.store import SnapshotStore
from status_api.timelag import TimeLags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

GROUPS = 2004
TOPICS, PARTITIONS = 200, 6
SNAPSHOTS, WARM = 15, 3
HISTORY = range(0, 600, 5)
"""The seconds of the snapshots before the load: those that the history keeps as samples of ten minutes."""
HISTORY_SECONDS = 900
"""How long the server may take to make them, with thousands of groups on a busy machine."""
STREAMS, REQUESTS = 200, 200
HTTP_OK = 200
GZIP = {"Accept-Encoding": "gzip"}
"""Prometheus asks so."""
PATHS = ("/api/v1/cluster", "/api/v1/groups", "/api/v1/groups?limit=50&sort=-lag", "/metrics", "/live")
LOADED = ("/livez", "/api/v1/cluster", "/api/v1/groups?limit=50&sort=-lag", "/api/v1/pipeline", "/live")
RETENTIONS = dict.fromkeys((f"t{number}" for number in range(TOPICS)), 604_800.0)


class Times:
    """The times of each step, in milliseconds."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note the time of a step."""
        began = time.perf_counter()
        yield
        self.of[name].append((time.perf_counter() - began) * 1000)


def topics(second: int) -> list[TopicState]:
    """The topics, which grow by ten records a second in each partition."""
    parts = tuple(Partition(number, 1, (1, 2, 3), (1, 2, 3), 0, 1000 + second * 10) for number in range(PARTITIONS))
    return [TopicState(f"t{number}", parts) for number in range(TOPICS)]


def groups(second: int, number: int) -> list[Group]:
    """The groups as their coordinators tell them, each five records behind."""
    result = []
    for position in range(number):
        keys = [(f"t{position % TOPICS}", partition) for partition in range(PARTITIONS)]
        member = GroupMember(f"m{position}", f"c{position}", "h", assignment=tuple(keys))
        rows = tuple(GroupPartition(*key, 995 + second * 10) for key in keys)
        result.append(Group(f"g{position}", "Stable", "classic", members=(member,), partitions=rows))
    return result


class Service:
    """What takes snapshots and what answers, without a cluster."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._began = datetime.now(UTC)
        self._known, self._silent, self._progress = KnownGroups(), SilentMembers(), Progress()
        self._lags, self._judge, self._log = TimeLags(), Judge(), RebalanceLog()
        self._store = SnapshotStore(1.0)
        self._health = Health()
        self.app = create_app(self._store, self._health, StatusSettings(rate=0))

    def snapshot(self, second: int, times: Times) -> None:
        """Take one snapshot."""
        self._health.tick()
        at, state, states = self._began + timedelta(seconds=second), topics(second), groups(second, self._number)
        partitions = by_key(state)
        self._lags.add(partitions, {}, at.timestamp() - 0.1, at.timestamp())
        with times.step("rows, with lag in seconds"):
            rows = [with_offsets(group, partitions, self._lags) for group in states]
        with times.step("known, silent"):
            marked = self._silent.update(self._known.update(rows, {}, None), at)
        with times.step("progress"):
            marked = self._progress.update(marked, {})
        with times.step("status"):
            marked = self._judge.update(marked, RETENTIONS)
        with times.step("rebalances"):
            events = self._log.update(marked, at)
        brokers = (Broker(1, "h", 1),)
        snapshot = Snapshot(f"x-{second}", at, "c", 1, None, brokers, tuple(state), tuple(marked), rebalances=events)
        with times.step("history, lanes, events"):
            self._store.succeeded(snapshot)


def steps(number: int) -> None:
    """Print the time of each step and of each path."""
    times, service = Times(), Service(number)
    client = service.app.test_client()
    for second in range(SNAPSHOTS):
        service.snapshot(second, times)
        for path in PATHS:
            with times.step(path):
                client.get(path, headers=GZIP)
    for step, values in times.of.items():
        print(f"{step:36s} {min(values[WARM:]):8.1f} ms")


class Server(StatusServer):
    """The status API as it is, but for its snapshots: a thread takes those of made-up groups."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self._number = number
        super().__init__(StatusSettings(rate=0), listener)

    @override
    def load(self) -> Flask:
        service = Service(self._number)
        process.share_memory()
        process.shorten_pauses()
        threading.Thread(target=self._snapshots, args=(service,), daemon=True).start()
        return service.app

    def _snapshots(self, service: Service) -> None:
        looks = process.Looks()
        for second in HISTORY:
            service.snapshot(second, Times())
        for second in range(HISTORY.stop, 100_000):
            due = time.monotonic() + 1.0
            service.snapshot(second, Times())
            looks.turn()
            time.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def serving(number: int) -> Iterator[tuple[str, int]]:
    """Serve this many groups in a process of its own; its address and process id."""
    with listen("127.0.0.1", 0) as listener:
        pid = os.fork()
        if pid == 0:
            try:
                Server(number, listener).run()
            finally:
                os._exit(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        deadline = time.monotonic() + HISTORY_SECONDS
        try:
            while (
                int(httpx.get(f"{url}/api/v1/cluster", timeout=60).json().get("snapshot_id", "-0").split("-")[1])
                < HISTORY.stop
            ):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the server has not made its history within {HISTORY_SECONDS} s")
                time.sleep(1)
            yield url, pid
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def memory(pid: int) -> str:
    """The memory of a process and of those that it started, in MB: shared pages count in part, as often as shared."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split())]
    rollups = [Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8").splitlines() for one in pids]
    each = [sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024 for rollup in rollups]
    return f"{sum(each):.0f} MiB (" + " + ".join(f"{part:.0f}" for part in each) + ")"


def followers(url: str, ended: threading.Event) -> threading.Thread:
    """Follow the events over 200 connections until the end."""
    address = urlsplit(url)
    assert address.hostname is not None
    selector = selectors.DefaultSelector()
    for _ in range(STREAMS):
        sock = socket.create_connection((address.hostname, address.port or 80))
        sock.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, sock)

    def read() -> None:
        while not ended.is_set():
            for key, _ in selector.select(0.2):
                assert key.data.recv(65536), "the server ended a stream"
        for key in list(selector.get_map().values()):
            key.data.close()

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def load(url: str, pid: int | None) -> None:
    """Print how long requests take beside the readers of events and the scrapes."""
    ended, times = threading.Event(), Times()
    threads = [followers(url, ended), threading.Thread(target=scrape, args=(url, ended, times))]
    threads[1].start()
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/api/v1/groups")
        for _ in range(REQUESTS):
            for path in LOADED:
                with times.step(path):
                    assert client.get(path, headers={"Accept-Encoding": "identity"}).status_code == HTTP_OK, path
                time.sleep(0.01)
    held = "" if pid is None else f", memory {memory(pid)}"
    ended.set()
    for thread in threads:
        thread.join()
    print(f"{STREAMS} streams, a scrape a second{held}")
    together = [value for path in LOADED for value in times.of[path]]
    for step, values in [*times.of.items(), ("all but the scrapes", together)]:
        ordered = sorted(values)
        p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        print(f"{step:36s} p50 {p50:6.1f}, p99 {p99:6.1f}, most {ordered[-1]:6.1f} ms of {len(ordered)}")


def scrape(url: str, ended: threading.Event, times: Times) -> None:
    """Scrape each second until the end, as Prometheus does."""
    with httpx.Client(base_url=url, timeout=60) as client:
        while not ended.wait(1.0):
            with times.step("/metrics"):
                assert client.get("/metrics", headers=GZIP).status_code == HTTP_OK


def main() -> None:
    """Measure."""
    argument = sys.argv[1] if len(sys.argv) > 1 else str(GROUPS)
    if not argument.isdecimal():
        load(argument, int(sys.argv[2]) if len(sys.argv) > 2 else None)  # noqa: PLR2004
        return
    print(f"{argument} groups of {PARTITIONS} partitions")
    with serving(int(argument)) as (url, pid):
        load(url, pid)
    steps(int(argument))


if __name__ == "__main__":
    main()
