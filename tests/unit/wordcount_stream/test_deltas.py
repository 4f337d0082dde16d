"""Splitting, hashing and encoding of deltas."""

import pytest
from confluent_kafka import Producer

from newsroom.errors import DecodeError
from newsroom.settings import PARTITIONER
from support.cluster import PARTITIONS, MockCluster
from wordcount_stream.deltas import decode, encode, home_of, murmur2


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        # org.apache.kafka.common.utils.UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_kafkas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


def test_words_go_where_a_producer_of_ours_sends_their_key(cluster: MockCluster) -> None:
    words = [f"value{i}" for i in range(21)] + ["a", "ab", "abc", "abcd", "čapek", "naïve", "x" * 1000]
    producer = Producer({"bootstrap.servers": cluster.address, "partitioner": PARTITIONER})
    for word in words:
        producer.produce("word", b"", word.encode())
    assert producer.flush(20) == 0
    partition_of = {bytes(record.key() or b"").decode(): record.partition() for record in cluster.read("word")}
    assert partition_of == {word: home_of(word, PARTITIONS) for word in words}
    assert len(set(partition_of.values())) == PARTITIONS


def test_small_counts_are_one_record() -> None:
    assert list(encode({"a": 1, "č": 2})) == ['{"a":1,"č":2}'.encode()]


@pytest.mark.parametrize("data", [b"", b"\xff", b"[1]", b'{"a": "1"}', b'{"a": 1.5}', b'{"a": true}'])
def test_foreign_records_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)
