"""The sender without brokers: failures, refusals and a full queue."""

import threading
from typing import Any

import pytest

from news_producer.ledger import Ledger
from news_producer.sender import NEED, Sender
from newsroom.errors import DeliveryFailed, SettingsError
from newsroom.health import Health
from newsroom.waiting import StopFlag
from support.web import NOBODY

DEAD = {"bootstrap.servers": NOBODY, "log_level": 0}


def dead_sender(stop: StopFlag, config: dict[str, Any], timeout: float = 60) -> Sender:
    """A sender whose brokers are not there."""
    return Sender(DEAD | config, Ledger("t"), message_timeout=timeout, stop=stop, health=Health(NEED))


def test_a_record_that_is_not_delivered_stops_the_sender_with_the_reason() -> None:
    sender = dead_sender(StopFlag(), {"message.timeout.ms": 300}, 0.3)
    assert sender.send(b"k", b"v")
    assert sender.ledger.unknown == 1
    sender.close()
    assert (sender.ledger.failed, sender.ledger.unknown) == (1, 0)
    with pytest.raises(DeliveryFailed, match=rf"1 of 1 records to topic t at {NOBODY} failed: .*timed out"):
        sender.check()


def test_a_ca_file_that_is_missing_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match=r"refuses its settings: .*ssl\.ca\.location failed"):
        dead_sender(StopFlag(), {"security.protocol": "SSL", "ssl.ca.location": "/none.pem"})


def test_a_full_queue_waits_and_looks_at_the_stop_flag() -> None:
    stop = StopFlag()
    sender = dead_sender(stop, {"queue.buffering.max.messages": 1})
    assert sender.send(None, b"1")
    threading.Timer(0.2, stop.set).start()
    assert not sender.send(None, b"2")
    assert sender.ledger.sent == 1
