"""A replica that the cluster interrupts continues from its last commit, in the same process."""

import threading
from collections.abc import Iterator
from contextlib import closing
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

from newsroom.access import Access
from newsroom.errors import ClusterUnavailable, NotYet, ReplicaFenced, StateLost
from newsroom.health import Health
from newsroom.slots import take_slot
from newsroom.streams import application as module
from newsroom.streams.application import StreamApplication
from newsroom.streams.consumer import PatientConsumer, stable
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
