"""A process that hangs is ended; one that works or closes in time is left alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from newsroom import health as health_module
from newsroom import watchdog as module
from newsroom.health import Health
from newsroom.watchdog import Watchdog

SECONDS = 10.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)


def test_a_loop_that_does_not_turn_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health_module, "LOOP_STALL_SECONDS", 0.05)
    ended = threading.Event()
    with Watchdog(Health(), ended.set):
        assert ended.wait(SECONDS)
    assert "the loop has not turned for" in capsys.readouterr().out


def test_a_close_that_hangs_is_ended_whatever_the_loop_does(capsys: pytest.CaptureFixture[str]) -> None:
    ended = threading.Event()
    with Watchdog(Health(), ended.set, close_seconds=0.05) as watchdog:
        assert not ended.wait(0.2)
        watchdog.closing()
        assert ended.wait(SECONDS)
    assert "the Kafka clients did not close within 0.05 s" in capsys.readouterr().out


def test_a_close_in_time_is_left_alone_though_the_loop_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    health = Health()
    with Watchdog(health, ended.set) as watchdog:
        watchdog.closing()
        monkeypatch.setattr(health_module, "LOOP_STALL_SECONDS", 0.0)
        time.sleep(0.1)
    assert not ended.wait(0.1)


def test_the_process_ends_with_one_and_says_why() -> None:
    code = (
        "import time; from newsroom.health import Health; from newsroom.watchdog import Watchdog\n"
        "with Watchdog(Health(), close_seconds=0.0) as dog:\n"
        "    dog.closing(); time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "did not close within 0 s: ended by force" in done.stdout
