"""A replica that the cluster interrupts continues from its last commit, in the same process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from quixstreams.checkpointing.exceptions import CheckpointProducerTimeout
from quixstreams.exceptions import PartitionAssignmentError
from quixstreams.internal_producer import KafkaProducerTransactionCommitFailed
from quixstreams.kafka.exceptions import KafkaConsumerException, KafkaProducerDeliveryError
from quixstreams.state.exceptions import InvalidStoreChangelogOffset
from structlog.testing import capture_logs

from newsroom.access import Access
from newsroom.errors import ClusterUnavailable, LastingFailure, NotYet, ReplicaFenced, StateLost
from newsroom.health import Health
from newsroom.slots import take_slot
from newsroom.streams import application as module
from newsroom.streams import producer as producer_module
from newsroom.streams.application import StreamApplication
from newsroom.streams.clients import TRANSACTION_TIMEOUT_MS
from newsroom.streams.consumer import PatientConsumer, stable
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
from newsroom.streams.replica import NEEDS
from newsroom.streams.settings import StreamSettings
from newsroom.waiting import StopFlag, Stopped, do_nothing
from support.cluster import PARTITIONS, MockCluster

FENCED = KafkaError(KafkaError._FENCED, "fenced", fatal=True)
TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, "late", retriable=True)
DENIED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


def inside_a_rebalance(cause: Exception) -> PartitionAssignmentError:
    error = PartitionAssignmentError("Error during partition assignment")
    error.__cause__ = cause
    return error


class Replica:
    """A stream application whose starts over are counted, or fail as told."""

    def __init__(self, folder: Path, slot: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
        self.stop = StopFlag()
        settings = StreamSettings(consumer_group="g", state_dir=folder)
        self.app = StreamApplication(settings, slot, folder / "id", Health(*NEEDS), self.stop, poll_seconds=0.1)
        self.starts = 0
        self.failures: list[Exception] = []
        monkeypatch.setattr(self.app, "_start_over", self.start_over)

    def start_over(self) -> None:
        self.starts += 1
        if self.failures:
            raise self.failures.pop(0)

    def step(self, error: Exception, **options: Any) -> None:  # noqa: ANN401
        def fail(**_: object) -> None:
            raise error

        self.app._continuing(fail)(**options)


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replica]:
    with take_slot(tmp_path) as slot:
        yield Replica(tmp_path, slot, monkeypatch)


@pytest.mark.parametrize(
    "error",
    [
        KafkaException(TIMED_OUT),
        KafkaException(FENCED),
        KafkaException(KafkaError(KafkaError.INVALID_PRODUCER_ID_MAPPING, "an idle week: the id is forgotten")),
        KafkaProducerDeliveryError(TIMED_OUT),
        KafkaConsumerException(KafkaError(KafkaError._MAX_POLL_EXCEEDED)),
        KafkaProducerTransactionCommitFailed("all attempts failed"),
        CheckpointProducerTimeout("3 messages failed"),
        ClusterUnavailable("the brokers did not accept deltas"),
        inside_a_rebalance(ReplicaFenced("lost")),
    ],
)
def test_an_interruption_is_continued_after(replica: Replica, error: Exception) -> None:
    replica.step(error)
    assert replica.starts == 1


@pytest.mark.parametrize(
    "error",
    [
        KafkaException(DENIED),
        KafkaConsumerException(FENCED),
        InvalidStoreChangelogOffset("ahead"),
        StateLost("lost"),
        inside_a_rebalance(StateLost("lost")),
        ZeroDivisionError("a bug"),
    ],
)
def test_what_continuing_cannot_change_is_raised(replica: Replica, error: Exception) -> None:
    with pytest.raises(type(error)):
        replica.step(error)
    assert replica.starts == 0


def test_an_error_inside_a_rebalance_callback_is_left_to_the_step_that_polls(replica: Replica) -> None:
    with pytest.raises(KafkaException):
        replica.step(KafkaException(TIMED_OUT), revoking=True)
    assert replica.starts == 0


def test_a_start_over_that_is_interrupted_is_repeated(replica: Replica) -> None:
    replica.failures = [KafkaException(TIMED_OUT), ClusterUnavailable("no coordinator")]
    replica.step(KafkaException(TIMED_OUT))
    assert replica.starts == 3
    replica.failures = [StateLost("the changelog is gone")]
    with pytest.raises(StateLost):
        replica.step(KafkaException(TIMED_OUT))


def test_too_many_interruptions_in_a_short_time_end_the_replica(replica: Replica) -> None:
    for _ in range(module.INTERRUPTIONS):
        replica.step(KafkaException(TIMED_OUT))
    with pytest.raises(KafkaException):
        replica.step(KafkaException(TIMED_OUT))
    assert replica.starts == module.INTERRUPTIONS


def test_a_signal_ends_the_replica_instead(replica: Replica) -> None:
    replica.stop.set()
    with pytest.raises(Stopped):
        replica.step(KafkaException(TIMED_OUT))
    assert replica.starts == 0


def test_every_step_of_quixs_loop_continues(replica: Replica) -> None:
    app = replica.app
    for step in (app._process_message, app._processing_context.commit_checkpoint, app._state_manager.do_recovery):
        assert getattr(step, "__wrapped__", None)


def test_starting_over_settles_the_transaction_before_it_reads_offsets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    with take_slot(tmp_path) as slot:
        settings = StreamSettings(consumer_group="g", state_dir=tmp_path)
        health = Health(*NEEDS)
        app = StreamApplication(settings, slot, tmp_path / "id", health, StopFlag(), poll_seconds=0.1)

        class Inner:
            def assign_again(self) -> None:
                calls.append("offsets and state")

        app._consumer._inner_consumer = Inner()
        before = app._consumer._buffer
        monkeypatch.setattr(app._consumer, "assignment", lambda: [TopicPartition("word-deltas", 0)])
        monkeypatch.setattr(app, "_revoke_state_partitions", lambda _: calls.append("state dropped"))
        monkeypatch.setattr(app._producer, "start_over", lambda: calls.append("transaction settled"))
        monkeypatch.setattr(app._processing_context, "init_checkpoint", lambda: calls.append("checkpoint"))
        sums = SimpleNamespace(on_paused=lambda: calls.append("sums dropped"))
        monkeypatch.setattr(type(app._sink_manager), "sinks", [sums])
        app._start_over()
        assert app._consumer._buffer is not before
        assert not health.ready()[0]
    assert sorted(calls[:3]) == ["state dropped", "sums dropped", "transaction settled"]
    assert calls[3:] == ["offsets and state", "checkpoint"]


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


def test_the_end_of_a_changelog_is_read_once_its_transactions_are_complete() -> None:
    with pytest.raises(NotYet, match=r"transaction on t partition 0 is not complete \(stable end 4, end 6\)"):
        stable((0, 4), 6, "t partition 0")
    assert stable((0, 6), 6, "t partition 0") == (0, 6)
    assert stable((0, 7), 6, "t partition 0") == (0, 7)


def test_partitions_are_taken_anew_from_the_committed_offsets(brokers: MockCluster) -> None:
    topic = brokers.topic()
    brokers.send(topic, [(None, b"%d" % number) for number in range(8)])
    config = {"bootstrap.servers": brokers.address, "group.id": topic, "auto.offset.reset": "earliest"}
    assigned: list[int] = []

    def on_assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        assigned.append(len(partitions))
        consumer.assign(partitions)

    with closing(PatientConsumer(config | {"enable.auto.commit": False}, StopFlag(), Access(config))) as consumer:
        consumer.subscribe([topic], on_assign=on_assign)
        first = sorted(message.value() for message in consumer.consume(8, 20))
        consumer.assign_again()
        assert sorted(message.value() for message in consumer.consume(8, 20)) == first
    assert assigned == [PARTITIONS, PARTITIONS]


def test_without_a_transaction_the_consumers_commit_says_of_which_topic_it_is(brokers: MockCluster) -> None:
    topic = brokers.topic()
    config = {"bootstrap.servers": brokers.address, "group.id": topic, "enable.auto.commit": False}
    calls: list[str] = []
    consumer = PatientConsumer(
        config, StopFlag(), Access(config), claims={topic: "of it"}, after_commit=lambda: calls.append("committed")
    )
    with closing(consumer):
        consumer.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
        (commit,) = consumer.committed([TopicPartition(topic, 0)], 10)
    assert (commit.offset, commit.metadata, calls) == (3, "of it", ["committed"])


def test_a_restore_waits_for_the_marker_of_a_transaction_whose_offsets_count_already(brokers: MockCluster) -> None:
    topic = f"changelog__g--{brokers.topic()}--default"
    brokers.send(topic, [(None, b"%d" % number) for number in range(4)], partition=0)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": topic}
    questions = 0

    def end_with_the_open_transaction(*_: object, **__: object) -> tuple[int, int]:
        nonlocal questions
        questions += 1
        # Two records more than a read_committed client sees; their marker comes half a second later.
        threading.Timer(0.5, brokers.send, (topic, [(None, b"4"), (None, b"5")], 0)).start()
        return 0, 6

    with closing(PatientConsumer(config, StopFlag(), Access(config))) as consumer:
        whole = SimpleNamespace(get_watermark_offsets=end_with_the_open_transaction, close=do_nothing)
        consumer.__dict__["_whole"] = whole
        assert consumer.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 6)
    assert questions == 1, "what is written later belongs to the next restore"
