"""The streams' producer: calls that settle a transaction have deadlines, and results are told after their commit."""

import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from structlog.testing import capture_logs

from newsroom.access import Access
from newsroom.errors import LastingFailure
from newsroom.streams import producer as producer_module
from newsroom.streams.clients import TRANSACTION_TIMEOUT_MS
from newsroom.streams.errors import interruption
from newsroom.streams.producer import (
    ABORT_SECONDS,
    CHECKPOINT_SECONDS,
    COMMIT_SECONDS,
    DOUBTFUL_SECONDS,
    INIT_SECONDS,
    LEAST_SECONDS,
    AfterCommit,
    BoundedProducer,
)


class Client:
    """Stands in for librdkafka's producer: notes the deadlines of the calls that settle a transaction."""

    def __init__(self, _: object = None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.offsets: list[TopicPartition] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: object, **options: object) -> int:
            self.calls.append((name, options.get("timeout", arguments[-1] if arguments else options)))
            if name == "send_offsets_to_transaction":
                self.offsets = arguments[0]  # type: ignore[assignment]
            return 0

        return call


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def make(config: object) -> Client:
        made.append(Client(config))
        return made[-1]

    monkeypatch.setattr(producer_module, "ConfluentProducer", make)
    return made


def bounded(after_commit: AfterCommit | None = None, *, transactional: bool = True, **claims: str) -> BoundedProducer:
    access = Access({"bootstrap.servers": "b:1"})
    options: dict[str, Any] = {
        "broker_address": "127.0.0.1:9",
        "extra_config": {},
        "on_error": None,
        "transactional": transactional,
    }
    return BoundedProducer(access, after_commit or AfterCommit(), claims, **options)


def test_every_transactional_call_has_a_deadline(clients: list[Client]) -> None:
    producer = bounded()
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    producer.flush()
    producer.commit_transaction([TopicPartition("t", 0, 1)], object())
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    producer.abort_transaction(30.0)
    deadlines = dict(clients[0].calls)
    assert deadlines["init_transactions"] == INIT_SECONDS
    assert deadlines["flush"] == CHECKPOINT_SECONDS
    assert LEAST_SECONDS <= deadlines["send_offsets_to_transaction"] <= CHECKPOINT_SECONDS
    assert 0 < deadlines["commit_transaction"] <= CHECKPOINT_SECONDS
    assert 0 < deadlines["abort_transaction"] <= ABORT_SECONDS
    assert CHECKPOINT_SECONDS + LEAST_SECONDS + ABORT_SECONDS < TRANSACTION_TIMEOUT_MS / 1000


def test_a_client_that_has_succeeded_is_given_up_sooner_than_a_new_one(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def checkpoint(producer: BoundedProducer) -> tuple[float, float]:
        producer.begin_transaction()  # type: ignore[no-untyped-call]
        producer.flush()
        producer.commit_transaction([TopicPartition("t", 0, 1)], object())
        deadlines = dict(clients[-1].calls)
        return deadlines["flush"], deadlines["send_offsets_to_transaction"]

    producer = bounded()
    delivery, commit = checkpoint(producer)
    assert (delivery, round(commit)) == (CHECKPOINT_SECONDS, CHECKPOINT_SECONDS)
    delivery, commit = checkpoint(producer)
    assert (delivery, round(commit, 1)) == (CHECKPOINT_SECONDS, COMMIT_SECONDS)
    monkeypatch.setattr(producer_module, "SLOW_SECONDS", 0.0)
    assert round(checkpoint(producer)[1], 1) == DOUBTFUL_SECONDS, "the delivery waited for new leaders"
    producer.start_over()
    assert round(checkpoint(producer)[1]) == CHECKPOINT_SECONDS, "a slow cluster gets on, too"


def test_a_call_that_ignores_its_deadline_is_given_up_with_its_client(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer_module, "GRACE_SECONDS", 0.05)
    hung = threading.Event()
    producer = bounded()
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    clients[0].send_offsets_to_transaction = lambda *_: hung.wait(20)  # type: ignore[attr-defined]
    with pytest.raises(KafkaException, match=r"did not return within 0\.1 s") as raised:
        producer.commit_transaction([TopicPartition("t", 0, 1)], object(), 0.1)
    assert interruption(raised.value)
    producer.start_over()
    hung.set()  # the late call goes on with the client that it began with, not with its successor
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    assert [name for name, _ in clients[0].calls] == ["init_transactions", "begin_transaction", "purge"]
    assert [name for name, _ in clients[1].calls] == ["init_transactions", "begin_transaction"]


def test_a_new_producer_replaces_the_interrupted_one(clients: list[Client]) -> None:
    producer = bounded()
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    producer.start_over()
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    first, second = clients
    assert first.calls[-1][0] == "purge"
    assert [name for name, _ in second.calls] == ["init_transactions", "begin_transaction"]


@pytest.mark.usefixtures("clients")
def test_a_result_is_told_after_its_commit_and_one_of_an_aborted_transaction_never() -> None:
    results: list[str] = []
    after_commit = AfterCommit()
    producer = bounded(after_commit)
    ends: list[Callable[[], None]] = [producer.start_over, producer.abort_transaction]
    for end in ends:
        producer.begin_transaction()  # type: ignore[no-untyped-call]
        after_commit.add(lambda: results.append("aborted"))
        end()
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    for count in ("a 1", "a 2"):
        after_commit.add(partial(results.append, count))
    producer.flush()
    assert results == []
    for _ in range(2):
        producer.commit_transaction([TopicPartition("t", 0, 1)], object())
    assert results == ["a 1", "a 2"]


def test_of_many_results_the_newest_are_told_and_the_others_counted() -> None:
    results: list[int] = []
    after_commit = AfterCommit()
    for number in range(2000):
        after_commit.add(partial(results.append, number))
    with capture_logs() as lines:
        after_commit.run()
    assert results == list(range(1950, 2000))
    assert [line["left_out"] for line in lines] == [1950]


def test_a_transactions_offsets_say_of_which_topic_they_are(clients: list[Client]) -> None:
    producer = bounded(news="of news")
    producer.begin_transaction()  # type: ignore[no-untyped-call]
    producer.commit_transaction([TopicPartition("news", 0, 1), TopicPartition("other", 1, 2)], object())
    assert [(place.topic, place.offset, place.metadata) for place in clients[0].offsets] == [
        ("news", 1, "of news"),
        ("other", 2, ""),
    ]


def test_without_transactions_no_transactional_call_is_made(clients: list[Client]) -> None:
    producer = bounded(transactional=False)
    producer.produce("t", b"v", b"k")
    producer.start_over()
    producer.abort_transaction()
    assert {name for client in clients for name, _ in client.calls} == {"produce", "poll", "purge"}


@pytest.mark.usefixtures("clients")
def test_a_denied_write_names_its_topic() -> None:
    producer = bounded()
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "denied")
    producer._on_delivery(denied, SimpleNamespace(topic=lambda: "word-counts"))
    with pytest.raises(LastingFailure, match=r"may not WRITE topic word-counts at b:1 \(denied\)"):
        producer.flush()
