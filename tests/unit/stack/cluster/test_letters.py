"""What a dead letter's headers say, and what a record looks like as bytes."""

import sys
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from newsroom.settings import KafkaSettings
from newsroom_stack.cluster import connection, letters
from newsroom_stack.cluster.connection import Cluster
from newsroom_stack.cluster.letters import Letter, delete_records, purge
from newsroom_stack.cluster.reading import Header, Record, hex_lines


def letter(*headers: Header) -> Letter:
    return Letter(Record("t.dlq", 1, 7, 0, b"k", b"v", headers))


OURS: tuple[Header, ...] = (
    ("trace", None),
    ("dlq.origin.topic", b"t"),
    ("dlq.origin.partition", b"2"),
    ("dlq.origin.offset", b"9"),
    ("dlq.error", b"bad"),
)
CONNECT: tuple[Header, ...] = (
    ("trace", None),
    ("__connect.errors.topic", b"t"),
    ("__connect.errors.partition", b"2"),
    ("__connect.errors.offset", b"9"),
    ("__connect.errors.exception.message", b"bad"),
)


@pytest.mark.parametrize("headers", [OURS, CONNECT], ids=["ours", "Connect's"])
def test_origin_and_reason_are_read_and_only_the_own_headers_go_on(headers: tuple[Header, ...]) -> None:
    content = letter(*headers)
    assert (content.origin, content.reason, content.rounds, content.cut) == ("t 2:9", "bad", 0, False)
    assert content.headers() == [("trace", None), ("dlq.replays", b"1")]


def test_the_rounds_go_up_by_one_and_the_newest_origin_counts() -> None:
    content = letter(("dlq.origin.topic", b"old"), ("dlq.replays", b"3"), *OURS)
    assert (content.topic, content.rounds) == ("t", 3)
    assert content.headers() == [("trace", None), ("dlq.replays", b"4")]


def test_a_letter_without_headers_has_no_origin_and_a_cut_one_is_not_whole() -> None:
    assert letter().origin == "unknown"
    assert letter(("dlq.value.bytes", b"5"), *OURS).cut


def test_bytes_are_shown_as_hexdump_does_and_the_rest_is_counted() -> None:
    assert list(hex_lines(b"\0\0\0\0\1Kafka rocks!!", 17)) == [
        "00000000  00 00 00 00 01 4b 61 66 6b 61 20 72 6f 63 6b 73  |.....Kafka rocks|",
        "00000010  21                                               |!|",
        "… and 1 bytes more",
    ]


def test_a_request_to_delete_records_leaves_the_list_to_its_owner() -> None:
    parts = [TopicPartition("t", 0, 1)]
    references = sys.getrefcount(parts)
    delete_records(AdminClient({"bootstrap.servers": "localhost:1", "log_level": 0}), parts)
    assert sys.getrefcount(parts) >= references


def test_a_new_leader_that_does_not_know_its_followers_records_yet_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    early, done = Future[int](), Future[int]()
    early.set_exception(KafkaException(KafkaError(KafkaError.OFFSET_OUT_OF_RANGE)))
    done.set_result(1)
    answers = [early, done]
    monkeypatch.setattr(letters, "delete_records", lambda _, parts: {parts[0]: answers.pop(0)})
    monkeypatch.setattr(connection, "METADATA_SECONDS", 0.1)
    purge(Cluster(KafkaSettings(bootstrap_servers="127.0.0.1:1", registry_url="mock://")), {("t", 0): 1})
    assert not answers
