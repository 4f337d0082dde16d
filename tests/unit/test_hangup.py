"""A service that works ends in order when its terminal is closed: SIGHUP is as SIGTERM."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.cluster import MockCluster
from support.waiting import wait_for

SECONDS = 60.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_consumer_commits_and_leaves_its_group(cluster: MockCluster, tmp_path: Path, number: signal.Signals) -> None:
    topic, letters = cluster.topic(), cluster.topic()
    cluster.send(topic, [("k", b"v")] * 8)
    log = tmp_path / "log"
    options = ("--format", "string", "--topic", topic, "--dlq-topic", letters, "--group", "g", "--log-format", "json")
    folders = ("--sink", str(tmp_path / "sink"), "--state-dir", str(tmp_path))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test that runs below `nohup` would hand down that it is ignored
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NEWSROOM_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "avro_consumer", *options, *folders],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=inherited | {"NEWSROOM_BOOTSTRAP_SERVERS": cluster.address},
        )

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines()]

    try:
        wait_for("its commits", lambda: cluster.committed("g", topic) == 8, SECONDS)
        process.send_signal(number)
        assert process.wait(SECONDS) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert [line["event"] for line in lines()][-3:] == ["finished", "partitions revoked", "left the group"]
    assert cluster.committed("g", topic) == 8
