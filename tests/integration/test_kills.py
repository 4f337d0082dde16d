"""Exactly once in a database while replicas are killed at random moments: every record is in the table once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from avro_consumer.settings import AvroConsumerSettings
from newsroom.errors import NotYet
from newsroom.waiting import need
from support.pipeline import ProcessPipeline
from support.postgres import postgres
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(900)

PARTITIONS = 6


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@dataclass
class Replicas:
    """Avro-consumers of one group, which are killed and started again."""

    pipeline: ProcessPipeline
    folder: Path
    topic: str
    url: str
    resources: ExitStack

    def start(self, number: int) -> subprocess.Popen[bytes]:
        """Start a replica; its slot is that of the one that was killed."""
        place = ("--topic", self.topic, "--group", self.topic, "--format", "string", "--state-dir", str(self.folder))
        promise = ("--delivery", "exactly-once", "--database", self.url, "--static-membership")
        log = self.resources.enter_context((self.folder / f"{number}.log").open("ab"))
        program = str(Path(sys.executable).parent / "avro-consumer")
        process = subprocess.Popen(
            [program, *place, *promise, "--batch-size", "200", "--log-level", "info"],
            env=self.pipeline.environment(),
            stdout=log,
            stderr=log,
        )
        self.resources.callback(process.wait, 20)
        self.resources.callback(process.send_signal, signal.SIGTERM)
        return process

    def logs(self) -> str:
        """What all of them have written."""
        return "".join(file.read_text() for file in sorted(self.folder.glob("*.log")))


def kill_and_count(pipeline: ProcessPipeline, folder: Path, url: str, *, replicas: int, size: tuple[int, int]) -> None:
    """Send records in as many portions as there are kills; kill one replica at a random moment of each."""
    records, kills = size
    seed = int(os.environ.get("SEED", time.time_ns() % 10**9))
    chance = random.Random(seed)  # noqa: S311 - not a secret
    topic = f"kills-{uuid.uuid4().hex[:8]}"
    pipeline.create_topic(topic, partitions=PARTITIONS)
    engine = create_engine(url)
    with ExitStack() as resources:
        resources.callback(engine.dispose)
        group = Replicas(pipeline, folder, topic, url, resources)
        resources.callback(lambda: sys.stdout.write(group.logs()))  # shown if the test fails
        running = [group.start(number) for number in range(replicas)]
        values = [b"%06d" % number for number in range(records)]
        share = records // kills
        for portion in range(kills):
            sent = (portion + 1) * share
            pipeline.send(topic, [(value, value) for value in values[portion * share : sent]])
            # Somewhere in this portion, so that the kill meets work in progress.
            wanted = portion * share + chance.randrange(share)
            wait_for(f"{wanted} rows (SEED={seed})", partial(has, engine, wanted), 120)
            ended = [number for number, process in enumerate(running) if process.poll() is not None]
            assert not ended, f"replicas {ended} ended (SEED={seed})"
            victim = chance.randrange(replicas)
            running[victim].kill()
            running[victim].wait(10)
            running[victim] = group.start(victim)
        wait_for(f"all {records} rows (SEED={seed})", partial(has, engine, records), 180)
        check(engine, topic, values, seed)
        assert "Traceback" not in group.logs()


def has(engine: Engine, rows: int) -> bool:
    """Whether so many rows are committed.

    Raises:
        NotYet: says how many there are.
    """
    try:
        with engine.connect() as connection:
            committed = int(connection.execute(text("select count(*) from consumed_records")).scalar_one())
    except (OperationalError, ProgrammingError) as error:
        raise NotYet(str(error)) from error  # no replica has created the table yet
    need(None if committed >= rows else f"{committed} rows")
    return True


def check(engine: Engine, topic: str, values: list[bytes], seed: int) -> None:
    """Every value is there once, and the next offsets are the numbers of rows."""
    with engine.connect() as connection:
        rows = connection.execute(text("select record_key, record_value from consumed_records")).all()
        ends = connection.execute(
            text("select sum(next_offset), count(*) from consumer_offsets where topic = :topic"), {"topic": topic}
        ).one()
    assert sorted(key for key, _ in rows) == [value.decode() for value in values], f"SEED={seed}"
    assert all(f'"{key}"' == value for key, value in rows)
    assert tuple(map(int, ends)) == (len(values), PARTITIONS)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Records and kills."""
    return (200_000, 20) if request.config.getoption("--whole") else (12_000, 4)


def test_three_replicas_with_postgresql(
    pipeline: ProcessPipeline, tmp_path: Path, server: str, size: tuple[int, int]
) -> None:
    kill_and_count(pipeline, tmp_path, server, replicas=3, size=size)


def test_one_replica_with_sqlite(pipeline: ProcessPipeline, tmp_path: Path, size: tuple[int, int]) -> None:
    kill_and_count(pipeline, tmp_path, f"sqlite:///{tmp_path}/rows.sqlite", replicas=1, size=size)


STATIC_MEMBER = """
import json, os, sys
from confluent_kafka import Consumer

def give_away(consumer, partitions):
    if sys.argv[2] == "die":
        os.kill(os.getpid(), 9)

consumer = Consumer(json.loads(sys.argv[1]))
consumer.subscribe([sys.argv[3]], on_revoke=give_away)
while True:
    consumer.poll(0.1)
"""


def test_a_static_member_that_is_killed_while_it_gives_partitions_away_leaves_none_without_an_owner(
    pipeline: ProcessPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"handover-{uuid.uuid4().hex[:8]}"
    pipeline.create_topic(topic, partitions=PARTITIONS)
    monkeypatch.setenv("NEWSROOM_BOOTSTRAP_SERVERS", pipeline.ports.bootstrap)
    settings = AvroConsumerSettings(group=topic, static_membership=True)

    def owned() -> list[int]:
        """How many partitions each member has, once it is settled."""
        group = admin.describe_consumer_groups([topic])[topic].result(10)
        settled = group.members if group.state is ConsumerGroupState.STABLE else ()
        return [len(member.assignment.topic_partitions) for member in settled]

    with ExitStack() as resources:

        def start(slot: int, fate: str) -> subprocess.Popen[bytes]:
            config = json.dumps(settings.member_config(slot))
            process = subprocess.Popen([sys.executable, "-c", STATIC_MEMBER, config, fate, topic])
            resources.callback(process.wait, 10)
            resources.callback(process.kill)
            return process

        admin = AdminClient({"bootstrap.servers": pipeline.ports.bootstrap})
        first = start(0, "die")
        wait_for("the first owner of all", lambda: owned() == [PARTITIONS], 60)
        start(1, "live")
        assert first.wait(60) == -signal.SIGKILL
        start(0, "live")
        wait_for("an owner of each partition", lambda: owned() == [PARTITIONS // 2] * 2, 30)
