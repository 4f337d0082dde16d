"""What a snapshot costs the status API: .venv/bin/python benchmarks/status.py [GROUPS]. It needs no cluster.

The groups have one member and six partitions each, on 200 topics, and none has read everything. Each time is the
shortest of twelve snapshots, in one thread.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom.health import Health
from status_api.app import create_app
from status_api.known import KnownGroups, SilentMembers
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

GROUPS = 2004
TOPICS, PARTITIONS = 200, 6
SNAPSHOTS, WARM = 15, 3
REQUESTS = 1000
GZIP = {"Accept-Encoding": "gzip"}
"""Prometheus asks so."""
PATHS = ("/api/v1/cluster", "/api/v1/groups", "/api/v1/groups?limit=50&sort=-lag", "/metrics", "/live")
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
        self.client = create_app(self._store, Health(), StatusSettings()).test_client()

    def snapshot(self, second: int, times: Times) -> None:
        """Take one snapshot."""
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


def resident() -> float:
    """The memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize() / 1e6


def steps(number: int) -> None:
    """Print the time of each step and of each path."""
    times, service = Times(), Service(number)
    for second in range(SNAPSHOTS):
        service.snapshot(second, times)
        for path in PATHS:
            with times.step(path):
                service.client.get(path, headers=GZIP)
    for step, values in times.of.items():
        print(f"{step:36s} {min(values[WARM:]):8.1f} ms")


def beside(number: int) -> None:
    """Print how long a small request takes while each second another thread takes a snapshot and scrapes."""
    before, service, stop = resident(), Service(number), threading.Event()
    service.snapshot(0, Times())

    def work() -> None:
        for second in range(1, 1000):
            ended = time.monotonic() + 1.0
            service.snapshot(second, Times())
            service.client.get("/metrics", headers=GZIP)
            if stop.wait(max(0.0, ended - time.monotonic())):
                return

    thread = threading.Thread(target=work)
    thread.start()
    client, took = service.client.application.test_client(), []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        client.get("/livez")
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)
    stop.set()
    thread.join()
    took.sort()
    print(f"/livez beside it: p50 {took[len(took) // 2]:.1f}, p99 {took[len(took) * 99 // 100]:.1f}, {took[-1]:.1f} ms")
    print(f"memory: {before:.0f} MB before the first snapshot, {resident():.0f} MB now")


def main() -> None:
    """Measure."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else GROUPS
    print(f"{number} groups of {PARTITIONS} partitions")
    beside(number)
    steps(number)


main()
