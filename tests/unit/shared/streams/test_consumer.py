"""Asking again while coordinators and leaders move, with answers as a cluster gives them."""

import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.error import KafkaError

from newsroom.access import Access, Right
from newsroom.errors import LastingFailure
from newsroom.streams import consumer as stream_consumer
from newsroom.streams.consumer import PatientConsumer
from newsroom.waiting import Deadline, StopFlag, do_nothing
from support.cluster import MockCluster
from support.quix import counter
from support.waiting import wait_for
from support.web import NOBODY

ACCESS = Access({"bootstrap.servers": "b:1"}, Right("READ", "topic", "news"), Right("READ", "group", "g"))


def test_the_questions_of_one_assignment_share_their_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[Deadline] = []

    def note(_ask: object, *arguments: Any, **options: Any) -> list[TopicPartition]:  # noqa: ANN401
        deadlines.append(options["deadline"] if options else arguments[0])
        return []

    monkeypatch.setattr(stream_consumer, "patiently", note)
    monkeypatch.setattr(stream_consumer, "committed_offsets", note)
    monkeypatch.setattr(PatientConsumer, "_ends", lambda *_: {})
    consumer = PatientConsumer({"group.id": "g"}, StopFlag(), ACCESS)
    for _ in range(2):
        consumer.assign([TopicPartition("t", 0)])
        consumer.get_watermark_offsets(TopicPartition("t", 0))
    consumer.close()
    first, second, third, fourth = deadlines
    assert first is second
    assert third is fourth
    assert first is not third


def test_an_assignment_continues_where_the_group_has_committed(brokers: MockCluster) -> None:
    topic = brokers.topic()
    for number in range(2):
        brokers.send(topic, [(None, b"v"), (None, b"w")], partition=number)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": topic}
    parts = [TopicPartition(topic, number) for number in range(2)]
    with closing(PatientConsumer(config, StopFlag(), ACCESS)) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 1, 1)], asynchronous=False)
        consumer.assign(parts)
        assert [place.offset for place in consumer.committed(parts, timeout=10)] == [OFFSET_INVALID, 1]
        messages = consumer.consume(3, 10)
    assert sorted((message.partition(), message.offset()) for message in messages) == [(0, 0), (0, 1), (1, 1)]


def test_the_client_is_not_left_to_ask_for_committed_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_consumer, "committed_offsets", lambda *_: [TopicPartition("t", 0, 7)])
    monkeypatch.setattr(PatientConsumer, "_ends", lambda *_: {})
    with closing(PatientConsumer({"group.id": "g"}, StopFlag(), ACCESS)) as consumer:
        consumer.assign([TopicPartition("t", 0), TopicPartition("changelog__t", 0)])
        assigned = sorted(place.offset for place in consumer.assignment())
    assert assigned == [OFFSET_BEGINNING, 7]


def test_a_member_that_has_no_answer_looks_for_what_it_was_before(brokers: MockCluster) -> None:
    topic = brokers.topic()
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": topic}
    present: list[str] = []
    with closing(PatientConsumer(config, StopFlag(), ACCESS, remove_former=present.append)) as consumer:
        consumer.subscribe([topic], on_assign=lambda client, parts: client.assign(parts))
        wait_for("an assignment", lambda: consumer.poll(0.1) or consumer.assignment(), 20)
        assert present == [], "every question had its answer"
        brokers.fail_next_committed()
        consumer.assign(consumer.assignment())
        assert present == [consumer.memberid()]


def test_the_ends_of_an_assignment_are_asked_for_together(brokers: MockCluster) -> None:
    topic = brokers.topic()
    brokers.send(topic, [(None, b"v"), (None, b"w")], partition=1)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": topic}
    parts = [TopicPartition(topic, number) for number in range(3)]
    with closing(PatientConsumer(config, StopFlag(), ACCESS)) as consumer:
        consumer.assign(parts)
        assert consumer._known_ends == {(topic, 0): (0, 0), (topic, 1): (0, 2), (topic, 2): (0, 0)}
        brokers.send(topic, [(None, b"x")], partition=1)
        assert consumer.get_watermark_offsets(parts[1]) == (0, 2), "of the assignment"
        assert consumer.get_watermark_offsets(parts[1]) == (0, 3), "a later question is asked"
        consumer.assign([])
        assert consumer._known_ends == {}


def test_a_leader_that_moved_just_now_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, stop = [], StopFlag()

    def answer(_: PatientConsumer, left: list[TopicPartition]) -> dict[tuple[str, int], tuple[int, int]]:
        asked.append([place.partition for place in left])
        return {("t", len(asked) - 1): (0, 5)}

    monkeypatch.setattr(stream_consumer, "committed_offsets", lambda ask, *_: ask.args[0])
    monkeypatch.setattr(PatientConsumer, "_ends", answer)
    with closing(PatientConsumer({"group.id": "g"}, stop, ACCESS)) as consumer:
        consumer.assign([TopicPartition("t", 0), TopicPartition("t", 1)])
        assert (asked, consumer._known_ends) == ([[0, 1], [1]], {("t", 0): (0, 5), ("t", 1): (0, 5)})
        stop.set()
        consumer.assign([TopicPartition("t", 2)])
        assert (len(asked), consumer._known_ends) == (2, {}), "a stop does not wait for leaders"


def test_the_end_of_a_changelog_with_an_open_transaction_is_asked_for_again(brokers: MockCluster) -> None:
    topic = f"changelog__g--{brokers.topic()}--default"
    brokers.send(topic, [(None, b"v")], partition=0)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": topic}

    def whole(parts: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout == stream_consumer.TOGETHER_SECONDS
        return [TopicPartition(topic, part.partition, 0 if part.offset == OFFSET_BEGINNING else 3) for part in parts]

    with closing(PatientConsumer(config, StopFlag(), ACCESS)) as consumer:
        consumer.__dict__["_whole"] = SimpleNamespace(
            list_topics=lambda **_: None, offsets_for_times=whole, close=do_nothing
        )
        consumer.assign([TopicPartition(topic, 0)])
        assert consumer._known_ends == {}


def test_partitions_whose_leaders_do_not_answer_are_asked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_consumer, "TOGETHER_SECONDS", 0.1)
    with closing(PatientConsumer({"bootstrap.servers": NOBODY, "group.id": "g"}, StopFlag(), ACCESS)) as consumer:
        assert stream_consumer._ends_of(consumer, [TopicPartition("t", 0)]) == {}


def test_a_question_in_a_callback_does_not_abort_the_process(brokers: MockCluster) -> None:
    # In a process of its own: an assertion of the client would end this one.
    program = f"""
import time
from newsroom.access import Access
from newsroom.streams import consumer as stream_consumer
from newsroom.waiting import StopFlag

stream_consumer.ATTEMPT_SECONDS = stream_consumer.TOGETHER_SECONDS = 0.2
config = {{"bootstrap.servers": "{brokers.address}", "group.id": "g", "statistics.interval.ms": 10, "stats_cb": str}}
consumer = stream_consumer.PatientConsumer(config, StopFlag(), Access(config))

def on_assign(_, partitions):
    consumer.assign(partitions)
    consumer.committed(partitions)
    consumer._deadline = stream_consumer.Deadline(0.5)
    for topic in (partitions[0].topic, "changelog__none--default"):
        try:
            consumer.get_watermark_offsets(stream_consumer.TopicPartition(topic, 77))
        except stream_consumer.KafkaException:
            print("asked")
    time.sleep(0.1)

consumer.subscribe(["{brokers.topic()}"], on_assign=on_assign)
for _ in range(10):
    consumer.poll(0.5)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("asked\nasked\n")


def test_a_consumer_that_starts_over_and_closes_at_once_does_not_abort(brokers: MockCluster) -> None:
    program = f"""
from newsroom.access import Access
from newsroom.streams.consumer import PatientConsumer, TopicPartition
from newsroom.waiting import StopFlag

config = {{"bootstrap.servers": "{brokers.address}", "group.id": "g"}}
for _ in range(30):
    consumer = PatientConsumer(config, StopFlag(), Access(config))
    # As by the group, whose first assignment by the mock brokers takes three seconds.
    consumer._on_assign = lambda member, partitions: member.assign(partitions)
    consumer.assign([TopicPartition("{brokers.topic()}", number) for number in range(3)])
    consumer.committed(consumer.assignment())
    consumer.assign_again()
    consumer.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr


def test_a_seek_waits_until_the_client_fetches(brokers: MockCluster) -> None:
    topic = brokers.topic()
    brokers.send(topic, [(None, b"v"), (None, b"w")], partition=0)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": topic}
    with closing(PatientConsumer(config, StopFlag(), ACCESS)) as consumer:
        place = TopicPartition(topic, 0, 1)
        with pytest.raises(KafkaException, match="Unknown partition"):
            Consumer.seek(consumer, place)
        threading.Timer(0.3, Consumer.assign, (consumer, [TopicPartition(topic, 0)])).start()
        consumer.seek(place)
        message = consumer.poll(10)
        assert message is not None
        assert message.value() == b"w"


def test_resumed_changelogs_are_read_at_once(brokers: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = f"changelog__g--{brokers.topic()}--default"
    brokers.send(topic, [(None, b"v")], partition=0)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": topic}
    woken: list[str] = []
    with closing(PatientConsumer(config, StopFlag(), ACCESS)) as consumer:
        monkeypatch.setattr(consumer, "wake", partial(woken.append, "woken"))
        assert consumer.poll(0.01) is None
        assert woken == [], "no state is restored"
        consumer.restoring = True
        consumer.assign([TopicPartition(topic, 0, 1)])
        assert consumer.poll(1) is None
        assert woken == ["woken"]
        monkeypatch.undo()
        PatientConsumer.wake(consumer)


YEAR_2100_MS = 4_102_444_800_000


@pytest.mark.parametrize("call", ["poll", "consume"])
def test_a_record_from_the_future_has_the_present_time_and_is_counted(brokers: MockCluster, call: str) -> None:
    topic = brokers.topic()
    producer = Producer({"bootstrap.servers": brokers.address, "linger.ms": 0})
    for timestamp in (1000, YEAR_2100_MS):
        producer.produce(topic, b"value", b"key", partition=0, timestamp=timestamp)
    assert producer.flush(10) == 0
    with closing(
        PatientConsumer({"bootstrap.servers": brokers.address, "group.id": "g"}, StopFlag(), ACCESS)
    ) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        past, future = [consumer.poll(10), consumer.poll(10)] if call == "poll" else consumer.consume(2, 10)
    assert past is not None
    assert future is not None
    assert past.timestamp()[1] == 1000
    assert abs(future.timestamp()[1] / 1000 - time.time()) < 60
    assert (future.key(), future.value(), future.offset(), len(future)) == (b"key", b"value", 1, 5)
    assert counter("stream_timestamps_moved", topic=topic) == 1


def test_a_denied_record_names_its_topic() -> None:
    denied = SimpleNamespace(
        error=lambda: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), topic=lambda: "word-counts"
    )
    named = pytest.raises(LastingFailure, match="may not READ topic word-counts at b:1")
    with closing(PatientConsumer({"group.id": "g"}, StopFlag(), ACCESS)) as consumer, named:
        consumer._check([denied])


def test_a_denied_member_names_its_group(brokers: MockCluster) -> None:
    brokers.fail_next_join(KafkaError.GROUP_AUTHORIZATION_FAILED)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": "g"}
    with closing(PatientConsumer(config, StopFlag(), ACCESS)) as consumer:
        consumer.subscribe([brokers.topic()], on_assign=lambda *_: None)
        with pytest.raises(LastingFailure, match="may not READ group g at b:1"):
            wait_for("the denial", lambda: consumer.poll(0.1), 20)
