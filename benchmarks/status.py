"""What a snapshot costs the status API: .venv/bin/python benchmarks/status.py [GROUPS]. It needs no cluster.

The groups have one member and six partitions each, on 200 topics, and none has read everything. Each time is the
shortest of twelve snapshots, in one thread.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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
    for each in range(number):
        keys = [(f"t{each % TOPICS}", partition) for partition in range(PARTITIONS)]
        member = GroupMember(f"m{each}", f"c{each}", "h", assignment=tuple(keys))
        rows = tuple(GroupPartition(*key, 995 + second * 10) for key in keys)
        result.append(Group(f"g{each}", "Stable", "classic", members=(member,), partitions=rows))
    return result


def main() -> None:
    """Print the time of each step and of each path."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else GROUPS
    times, began = Times(), datetime.now(UTC)
    known, silent, progress, lags, judge, log = (
        *(KnownGroups(), SilentMembers(), Progress(), TimeLags(), Judge(), RebalanceLog()),
    )
    store = SnapshotStore(1.0)
    client = create_app(store, Health(), StatusSettings()).test_client()
    for second in range(SNAPSHOTS):
        at, state, told = began + timedelta(seconds=second), topics(second), groups(second, number)
        partitions = by_key(state)
        lags.add(partitions, {}, at.timestamp() - 0.1, at.timestamp())
        with times.step("rows, with lag in seconds"):
            rows = [with_offsets(group, partitions, lags) for group in told]
        with times.step("known, silent"):
            seen = silent.update(known.update(rows, {}, None), at)
        with times.step("progress"):
            seen = progress.update(seen, {})
        with times.step("status"):
            seen = judge.update(seen, RETENTIONS)
        with times.step("rebalances"):
            events = log.update(seen, at)
        brokers = (Broker(1, "h", 1),)
        snapshot = Snapshot(f"x-{second}", at, "c", 1, None, brokers, tuple(state), tuple(seen), rebalances=events)
        with times.step("history, lanes, events"):
            store.succeeded(snapshot)
        for path in PATHS:
            with times.step(path):
                client.get(path)
    print(f"{number} groups of {PARTITIONS} partitions")
    for step, values in times.of.items():
        print(f"{step:36s} {min(values[WARM:]):8.1f} ms")
    print(
        f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB, this program's own included"
    )


main()
