"""The program of a fault, with a mock cluster: it follows its file and ends without it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from newsroom_lab.sending import send, visible
from support.cluster import PARTITIONS, MockCluster
from support.waiting import wait_for

SECONDS = 40.0


@pytest.fixture
def started(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    file = tmp_path / "program.properties"
    file.write_text("")
    log = (tmp_path / "log").open("wb")
    command = [sys.executable, "-m", "newsroom_lab.repair.client", str(file)]
    with log, subprocess.Popen(command, stderr=log) as process:
        yield process
        process.kill()


def keys(cluster: MockCluster, topic: str) -> set[str]:
    values = [value.decode() for value in visible(cluster.address, topic, range(PARTITIONS), "read_uncommitted")]
    return {value.rpartition('"step": ')[2].strip('"}') if "step" in value else value for value in values}


def committed(cluster: MockCluster, group: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": cluster.address, "group.id": group})
    places = consumer.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=10)
    consumer.close()
    return sum(max(place.offset, 0) for place in places)


def test_a_producer_begins_anew_with_a_changed_file_and_ends_without_it(
    cluster: MockCluster, tmp_path: Path, started: "subprocess.Popen[bytes]"
) -> None:
    file = tmp_path / "program.properties"
    send(cluster.address, "first", [(None, "x")], 0, {})
    send(cluster.address, "second", [(None, "x")], 0, {})
    settings = f"bootstrap.servers={cluster.address}\nwork.source=orders\nwork.key=order\nwork.rate=50\nwork.topic="
    # The empty file was a mistake, and the program has waited for a better one.
    file.write_text(f"{settings}first\n")
    wait_for("the first topic has all steps", lambda: {"ordered", "paid", "sent"} < keys(cluster, "first"), SECONDS)
    file.write_text(f"{settings}second\n")
    wait_for("the second topic has all steps", lambda: {"ordered", "paid", "sent"} < keys(cluster, "second"), SECONDS)
    assert started.poll() is None
    file.unlink()
    assert started.wait(SECONDS) == 0
    # A program that starts late has not met the empty file, and says nothing.
    assert "work.topic" not in "".join((tmp_path / "log").read_text().splitlines()[-1:])


def test_a_consumer_commits_what_it_has_worked_on(
    cluster: MockCluster, tmp_path: Path, started: "subprocess.Popen[bytes]"
) -> None:
    send(cluster.address, "jobs", [(f"key{number}", "x") for number in range(20)], 0, {})
    settings = f"bootstrap.servers={cluster.address}\ngroup.id=g\nwork.topic=jobs\nwork.batch=7\nwork.seconds=0\n"
    (tmp_path / "program.properties").write_text(settings)
    wait_for("all are committed", lambda: committed(cluster, "g", "jobs") == 20, SECONDS)
    (tmp_path / "program.properties").unlink()
    assert started.wait(SECONDS) == 0


def test_a_consumer_that_works_for_too_long_gets_nowhere(
    cluster: MockCluster, tmp_path: Path, started: "subprocess.Popen[bytes]"
) -> None:
    send(cluster.address, "parcels", [("key", "x") for number in range(20)], 0, {})
    (tmp_path / "program.properties").write_text(
        f"bootstrap.servers={cluster.address}\ngroup.id=slow\nsession.timeout.ms=1000\nmax.poll.interval.ms=1000\n"
        "work.topic=parcels\nwork.batch=10\nwork.seconds=0.2\n"
    )
    log = tmp_path / "log"

    def times_put_out() -> int:
        # The other reason to begin anew is the file, which is empty at first.
        return sum("beginning anew" in line and "work." not in line for line in log.read_text().splitlines())

    # The group gives it its partitions some 6 s after it was put out, and later on a busy machine.
    wait_for("it was put out twice", lambda: times_put_out() >= 2, 2 * SECONDS)
    assert committed(cluster, "slow", "parcels") == 0
    assert started.poll() is None
