"""The goals of docs/status-api.md that only a real cluster shows; `--whole` takes the numbers of the goals."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import httpx
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from newsroom_stack.cli.status import events
from support.pipeline import HTTP_OK, ProcessPipeline
from support.proxy import CountingProxy
from support.tools import need
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(900)

PARTITIONS = 6
FETCH, API_VERSIONS = 1, 18
"""The requests of the reader of the tables, and those of each new connection; a snapshot makes neither."""
PER_BROKER = 5
"""DescribeGroups, OffsetFetch, ConsumerGroupDescribe, ListOffsets; metadata and what is asked seldom are the fifth."""
SNAPSHOTS = 10

Row = tuple[str, str, int]
"""A group, a topic and a partition."""
Lags = dict[Row, tuple[int | None, ...]]
"""What was committed, the end, and the lag."""


@pytest.fixture
def whole(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--whole"))


def commit(pipeline: ProcessPipeline, topic: str, groups: list[str]) -> None:
    """Let groups without members commit the beginning of each partition."""
    admin = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap})
    places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]

    def one(group: str) -> None:
        (future,) = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values()
        future.result(60)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(one, groups))


def shown(pipeline: ProcessPipeline) -> Lags:
    """The position of each group in each partition, as the status API tells it."""
    groups = pipeline.api("/api/v1/groups?internal=true").json()["groups"]
    return {
        (group["id"], row["topic"], row["partition"]): (row["committed"], row["end"], row["lag"])
        for group in groups
        for row in pipeline.api(f"/api/v1/groups/{group['id']}?internal=true").json()["partitions"]
    }


def as_kafka_says(pipeline: ProcessPipeline) -> Lags:
    """The same, as ConsumerGroupCommand tells it."""
    lines = pipeline.kafka("consumer-groups", "--describe", "--all-groups").splitlines()
    rows = [line.split() for line in lines if re.match(r"\S+\s+\S+\s+\d+\s+(\d+|-)\s+(\d+|-)\s+(\d+|-)\s", line)]
    return {
        (row[0], row[1], int(row[2])): tuple(None if text == "-" else int(text) for text in row[3:6]) for row in rows
    }


def test_the_lag_of_every_group_and_partition_is_what_kafkas_own_tool_says(pipeline: ProcessPipeline) -> None:
    topic = f"agreed-{uuid.uuid4().hex[:6]}"
    pipeline.create_topic(topic, PARTITIONS)
    pipeline.send(topic, [(b"%d" % number, b"value") for number in range(50)])
    commit(pipeline, topic, ["agreed-a", "agreed-b"])

    def both() -> tuple[Lags, Lags] | None:
        before, said = shown(pipeline), as_kafka_says(pipeline)
        return (before, said) if before == shown(pipeline) else None

    pipeline.stack.pause("news-producer")
    try:
        ours, kafkas = wait_for("a cluster in which nothing moves", both, 120)
    finally:
        pipeline.stack.resume("news-producer")
    assert ours == kafkas
    assert sum(lag or 0 for (group, _, _), (_, _, lag) in ours.items() if group == "agreed-a") == 50
    assert {"avro-consumer", "wordcount-stream", "join-service"} <= {group for group, _, _ in ours}


class Member:
    """A member of a group: kcat, in a process of its own."""

    def __init__(self, pipeline: ProcessPipeline, kcat: str, group: str, name: str) -> None:
        self.name = name
        options = ("-X", f"client.id={name}", "-X", "session.timeout.ms=6000")
        command = [kcat, "-b", pipeline.ports.bootstrap, *options, "-G", group, group]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "assigned:" in line:
                return
        raise AssertionError(f"kcat has ended with {self._process.wait()}")

    def end(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        self._process.communicate(timeout=20)


def test_no_change_of_members_is_missed(pipeline: ProcessPipeline, whole: bool) -> None:
    kcat = need("kcat", "kcat")
    group = f"forced-{uuid.uuid4().hex[:6]}"
    pipeline.create_topic(group, PARTITIONS)
    commit(pipeline, group, [group])
    wait_for("the group is known", lambda: pipeline.group(group))
    members: deque[Member] = deque()
    joined, left = set(), set()
    steps = ["join", "join", "leave", "join", "kill"] if whole else ["join", "join", "leave", "join", "leave"]
    try:
        for number, step in enumerate(islice(cycle(steps), 100 if whole else 5)):
            if step == "join":
                members.append(Member(pipeline, kcat, group, f"member-{number}"))
                joined.add(members[-1].name)
            else:
                members[0].end(signal.SIGTERM if step == "leave" else signal.SIGKILL)
                left.add(members.popleft().name)
            time.sleep(number * 0.37 % 1)  # at any moment between two snapshots
        wait_for("all who joined and left", lambda: changes(pipeline, group) == (sorted(joined), sorted(left)))
    finally:
        for member in members:
            member.end(signal.SIGKILL)


def changes(pipeline: ProcessPipeline, group: str) -> tuple[list[str], list[str]]:
    """Who has joined and who has left, by the rebalances that the status API remembers."""
    answer = pipeline.api(f"/api/v1/groups/{group}/rebalances?limit=500").json()["rebalances"]
    return tuple(  # type: ignore[return-value]
        sorted(event["members"][member] for event in answer for member in event[kind]) for kind in ("joined", "left")
    )


@contextmanager
def status_api(bootstrap: str) -> Iterator[str]:
    """Another status API, with these brokers; its address."""
    command = [str(Path(sys.executable).parent / "status-api"), "--http-port", "0", "--bootstrap-servers", bootstrap]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            match = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert match is not None
            yield match[0]
        finally:
            process.terminate()


def test_the_number_of_requests_does_not_grow_with_that_of_groups(pipeline: ProcessPipeline, whole: bool) -> None:
    topic = f"counted-{uuid.uuid4().hex[:6]}"
    pipeline.create_topic(topic, PARTITIONS)
    names = [f"{topic}-{number}" for number in range(2000 if whole else 300)]
    with CountingProxy(pipeline.ports.brokers) as proxy, status_api(proxy.bootstrap) as url:
        commit(pipeline, topic, names[:20])  # so many that each broker coordinates some
        few = requests_a_snapshot(proxy, url, topic, 20)
        commit(pipeline, topic, names[20:])
        many = requests_a_snapshot(proxy, url, topic, len(names))
    assert few <= PER_BROKER * len(pipeline.ports.brokers)
    assert many <= few + 1


def requests_a_snapshot(proxy: CountingProxy, url: str, text: str, number: int) -> float:
    """How many requests a snapshot takes, once so many groups are known by this part of their names."""

    def known() -> bool:
        answer = httpx.get(f"{url}/api/v1/groups", params={"q": text}, timeout=20)
        return answer.status_code == HTTP_OK and len(answer.json()["groups"]) == number

    wait_for(f"a status API that knows {number} groups", known, 60)
    snapshots = events(url)
    next(snapshots)
    proxy.counts.clear()
    for _ in islice(snapshots, SNAPSHOTS):
        """Read on."""
    return sum(number for kind, number in proxy.counts.items() if kind not in {FETCH, API_VERSIONS}) / SNAPSHOTS
