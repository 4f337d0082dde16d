"""Dead letters that nobody takes: signals are heard, the loop is alive, and the failure is a sentence."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from avro_consumer.dead_letters import STOP_SECONDS, DeadLetters
from avro_consumer.records import Record
from newsroom.errors import DeliveryFailed, SettingsError
from newsroom.waiting import StopFlag

NOBODY: dict[str, Any] = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
POISON = Record("news", 0, 7, 0, None, b"x")
LONG = 60.0


def letters(config: dict[str, Any], stop: StopFlag, ticks: list[float]) -> DeadLetters:
    return DeadLetters(config, "news.dlq", "g", LONG, stop=stop, tick=lambda: ticks.append(time.monotonic()))


def test_the_wait_for_delivery_ticks_and_ends_soon_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avro_consumer.dead_letters.STOP_SECONDS", 0.3)
    stop, ticks = StopFlag(), list[float]()
    poison = letters(NOBODY, stop, ticks)
    poison.put(POISON, ValueError("bad"))
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()
    with pytest.raises(DeliveryFailed, match=r"did not acknowledge 1 of them before the shutdown.*not committed"):
        poison.deliver()
    assert 0.7 < time.monotonic() - start < 3
    assert len(ticks) >= 5
    assert STOP_SECONDS + 3 + 4 < 10


def test_a_full_queue_ticks_and_ends_at_a_signal() -> None:
    stop, ticks = StopFlag(), list[float]()
    poison = letters(NOBODY | {"queue.buffering.max.messages": 1}, stop, ticks)
    poison.put(POISON, ValueError("bad"))
    threading.Timer(0.4, stop.set).start()
    start = time.monotonic()
    with pytest.raises(DeliveryFailed, match="queue stayed full until the shutdown"):
        poison.put(POISON, ValueError("bad"))
    assert time.monotonic() - start < 3
    assert len(ticks) >= 2


def test_a_ca_file_that_is_missing_is_a_sentence() -> None:
    config = NOBODY | {"security.protocol": "SSL", "ssl.ca.location": "/none.pem"}
    with pytest.raises(SettingsError, match=r"refuses its settings: .*ssl\.ca\.location failed"):
        letters(config, StopFlag(), []).put(POISON, ValueError("bad"))
