"""The sender without brokers: failures, refusals and a full queue."""

import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError

from news_producer.errors import BadInput
from news_producer.ledger import Ledger
from news_producer.limits import batch_of_one, with_limit
from news_producer.sender import NEED, Sender
from newsroom.errors import DeliveryFailed, NotYet, SettingsError
from newsroom.health import Health
from newsroom.waiting import StopFlag, do_nothing
from support.cluster import MockCluster
from support.messages import message
from support.web import NOBODY

DEAD = {"bootstrap.servers": NOBODY, "log_level": 0}


def dead_sender(
    stop: StopFlag,
    config: dict[str, Any],
    timeout: float = 60,
    ledger: Ledger | None = None,
    max_message_bytes: int = 0,
) -> Sender:
    """A sender whose brokers are not there, unless the configuration names others."""
    return Sender(
        DEAD | config,
        ledger or Ledger("t"),
        message_timeout=timeout,
        stop=stop,
        health=Health(NEED),
        max_message_bytes=max_message_bytes,
    )


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


def test_a_record_larger_than_its_topic_takes_is_bad_input_and_its_neighbours_are_not() -> None:
    sender = dead_sender(StopFlag(), {}, max_message_bytes=2000)
    assert sender.send(b"key", b"v" * 1927)  # 61 of the batch, 2 of the record's size, 10 of the record besides
    with pytest.raises(BadInput, match=r"2001 bytes is larger than topic t takes \(max.message.bytes=2000\)") as raised:
        sender.send(b"key", b"v" * 1928)
    assert raised.value.reason == "too_large"
    assert sender.send(None, None)
    assert sender.ledger.sent == 2


@pytest.mark.parametrize(
    ("key", "value", "size"),
    [(None, None, 68), (b"", b"", 68), (b"k" * 63, None, 132), (b"k" * 64, b"", 134), (b"k", b"v" * 8192, 8265)],
)
def test_the_size_of_a_batch_is_that_of_kafkas_format(key: bytes | None, value: bytes | None, size: int) -> None:
    assert batch_of_one(key, value) == size


def test_batches_are_as_large_as_the_topic_and_the_setting_allow() -> None:
    assert with_limit({"batch.size": 1_000_000}, 2000) == {"batch.size": 2000, "message.max.bytes": 2000}
    assert with_limit({"batch.size": 500}, 10_000_000) == {"batch.size": 500, "message.max.bytes": 10_000_000}
    assert with_limit({}, 100) == {"batch.size": 100, "message.max.bytes": 1000}


TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE


@pytest.mark.parametrize(
    ("limit", "answer", "remedy"),
    [
        (500_000, None, "a batch of at most 500000 bytes is larger than topic .* takes: correct --max-message-bytes"),
        (0, None, r"cannot be read \(no right\): allow .* DESCRIBE_CONFIGS on the topic, or set --max-message-bytes"),
        (
            0,
            300_000,
            "a batch of at most 300000 bytes is larger .* now: its max.message.bytes has become less",
        ),
    ],
)
def test_a_batch_that_the_topic_refuses_is_said_with_its_remedy(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, limit: int, answer: int | None, remedy: str
) -> None:
    def ask(*_: object) -> int:
        if answer is None:
            raise NotYet("no right")
        return answer

    monkeypatch.setattr("news_producer.sender.need", do_nothing)  # the mock cluster has no controller
    monkeypatch.setattr("news_producer.sender.topic_limit", ask)
    config = {"bootstrap.servers": cluster.address}
    sender = dead_sender(StopFlag(), config, ledger=Ledger(cluster.topic()), max_message_bytes=limit)
    sender.wait_for_topic()
    cluster.fail_next_write(TOO_LARGE)
    assert sender.send(None, b"x")
    sender.close()
    with pytest.raises(DeliveryFailed, match=remedy):
        sender.check()


def test_a_topic_that_is_deleted_under_the_producer_is_the_cause(cluster: MockCluster) -> None:
    sender = dead_sender(StopFlag(), {"bootstrap.servers": cluster.address}, ledger=Ledger(cluster.topic()))
    sender._on_delivery(KafkaError(KafkaError._UNKNOWN_PARTITION), message("news", 0, 0))
    with pytest.raises(DeliveryFailed, match=r"topic t-.* was deleted while the producer ran; run 'provision'"):
        sender.check()


def test_a_record_whose_time_the_topic_refuses_is_named_with_its_time(cluster: MockCluster) -> None:
    config = {"bootstrap.servers": cluster.address}
    ledger = Ledger(cluster.topic())
    sender = dead_sender(StopFlag(), config, ledger=ledger)
    cluster.fail_next_write(KafkaError.INVALID_TIMESTAMP)
    assert sender.send(b"a-key", b"x")
    sender.close()
    sentence = (
        rf"the record with key 'a-key' for partition \d has the time of this machine \(now 20\S+\), which .* than "
        rf"topic {ledger.topic} allows \(message\.timestamp\.before\.max\.ms, .*\): set this machine's clock, or "
    )
    with pytest.raises(DeliveryFailed, match=sentence):
        sender.check()


@pytest.mark.parametrize(("key", "shown"), [(None, "no key"), (b"k\xff", r"key 'k\\xff'")])
def test_a_record_that_the_broker_finds_invalid_is_named_with_what_may_be_wrong(
    cluster: MockCluster, key: bytes | None, shown: str
) -> None:
    ledger = Ledger(cluster.topic())
    sender = dead_sender(StopFlag(), {"bootstrap.servers": cluster.address}, ledger=ledger)
    cluster.fail_next_write(KafkaError.INVALID_RECORD)
    assert sender.send(key, b"x")
    sender.close()
    sentence = (
        rf"topic {ledger.topic} does not take the record with {shown} for partition \d or its time \(now 20\S+\)\. "
        r"A compacted topic takes no record without a key: see --key\. For the time set this machine's clock"
    )
    with pytest.raises(DeliveryFailed, match=sentence):
        sender.check()
