"""How soon a running status API shows what happens: .venv/bin/python benchmarks/status_goals.py [GROUPS].

Needs a running stack. Makes groups without members that have committed in six partitions (2,000), and deletes
them and their topic. Tells the time between two snapshots with them, how soon a commit is shown, and how soon a member
that has its partitions, or has left, is shown. Then comes the load of benchmarks/status.py.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from newsroom.settings import KafkaSettings
from newsroom_stack.cli.status import events
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import load_stack_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GROUPS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
TOPIC, PARTITIONS = "status-goals", 6
SNAPSHOTS, COMMITS, CHANGES = 40, 40, 20
SECONDS = 60.0


@contextmanager
def groups(admin: AdminClient) -> Iterator[None]:
    """The groups and their topic, for as long as they are needed."""
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(SECONDS)
    names = [f"{TOPIC}-{number}" for number in range(GROUPS)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda name: commit(admin, name, 0), names))
    try:
        yield
    finally:
        for future in admin.delete_consumer_groups(names).values():
            future.result(SECONDS)
        admin.delete_topics([TOPIC])[TOPIC].result(SECONDS)


def commit(admin: AdminClient, group: str, offset: int) -> None:
    """Commit an offset for a group without members, in each partition."""
    places = [TopicPartition(TOPIC, number, offset) for number in range(PARTITIONS)]
    (future,) = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values()
    future.result(SECONDS)


def until(probe: Callable[[], bool]) -> float:
    """Ask again and again, for a minute; the seconds until the answer is yes."""
    began = time.monotonic()
    while not probe():
        if time.monotonic() - began > SECONDS:
            raise TimeoutError(f"not seen within {SECONDS:g} s: is the machine busy?")
        time.sleep(0.005)
    return time.monotonic() - began


def tell(what: str, values: Sequence[float]) -> None:
    """Print the median and so on of some seconds."""
    ordered = sorted(values)
    p50, p95 = ordered[len(ordered) // 2], ordered[len(ordered) * 95 // 100]
    print(f"{what:32s} p50 {p50:5.2f}, p95 {p95:5.2f}, most {ordered[-1]:5.2f} s of {len(ordered)}", flush=True)


class Members:
    """Members of a group in this process, which a thread lets live."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self._config: dict[str, Any] = {"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0}
        self.all: list[Consumer] = []
        self.owning: set[str] = set()
        """The ids of those that have partitions."""
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def join(self) -> str:
        """Add a member; its id as soon as it has partitions."""
        consumer = Consumer(self._config)
        consumer.subscribe([TOPIC], on_assign=lambda one, _: self.owning.add(one.memberid()))
        with self._lock:
            self.all.append(consumer)
        until(lambda: consumer.memberid() in self.owning)
        return str(consumer.memberid())

    def leave(self) -> str:
        """Let the oldest member leave; the id that it had."""
        with self._lock:  # the thread polls it no more
            consumer = self.all.pop(0)
        member = str(consumer.memberid())
        consumer.close()
        return member

    def end(self) -> None:
        """Let all leave."""
        self._ended.set()
        self._thread.join()
        for consumer in self.all:
            consumer.close()

    def _poll(self) -> None:
        while not self._ended.wait(0.01):
            with self._lock:
                for consumer in self.all:
                    consumer.poll(0.01)


def visibility(client: httpx.Client, admin: AdminClient, bootstrap: str) -> None:
    """Tell how soon commits and changes of members are shown."""
    group = f"{TOPIC}-seen"
    path, seconds = f"/api/v1/groups/{group}", []
    for offset in range(1, COMMITS + 1):
        time.sleep(random.random())  # noqa: S311 - at any moment between two snapshots
        commit(admin, group, offset)
        seconds.append(until(lambda wanted=offset * PARTITIONS: client.get(path).json().get("committed") == wanted))  # type: ignore[misc]
    tell("a commit is shown", seconds)
    members = Members(bootstrap, f"{TOPIC}-rebalances")
    path, shown = f"/api/v1/groups/{TOPIC}-rebalances/rebalances", []
    try:
        for number in range(CHANGES):
            kind = "left" if number % 2 and len(members.all) > 1 else "joined"
            member = members.leave() if kind == "left" else members.join()
            shown.append(until(lambda member=member, kind=kind: is_shown(client, path, kind, member)))  # type: ignore[misc]
            time.sleep(random.random())  # noqa: S311
    finally:
        members.end()
    tell("a change of members is shown", shown)
    for future in admin.delete_consumer_groups([group, f"{TOPIC}-rebalances"]).values():
        future.exception(SECONDS)


def is_shown(client: httpx.Client, path: str, kind: str, member: str) -> bool:
    """Whether a rebalance names the member."""
    return any(member in event[kind] for event in client.get(path).json().get("rebalances", []))


def main() -> None:
    """Measure."""
    stack, settings = ProcessStack(load_stack_settings()), KafkaSettings()
    url = stack.ports.status_url
    (pid,) = [instance.pid for instance in stack.ps() if instance.name == "status-api"]
    admin = AdminClient(settings.client_config("status-goals"))
    with groups(admin), httpx.Client(base_url=url, timeout=SECONDS) as client:
        until(lambda: len(client.get("/api/v1/groups", params={"q": TOPIC}).json()["groups"]) >= GROUPS)
        snapshots = islice(events(url), SNAPSHOTS)
        times = [datetime.fromisoformat(event["collected_at"]).timestamp() for event in snapshots]
        tell(f"between snapshots, {GROUPS} groups", [after - before for before, after in pairwise(times)])
        visibility(client, admin, settings.bootstrap_servers)
        load = Path(__file__).with_name("status.py")
        subprocess.run([sys.executable, str(load), url.replace("localhost", "127.0.0.1"), str(pid)], check=True)


main()
