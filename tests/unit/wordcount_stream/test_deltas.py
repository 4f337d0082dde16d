"""Splitting, hashing and encoding of deltas."""

from collections import Counter

import pytest
from confluent_kafka import Producer

from newsroom.errors import DecodeError
from newsroom.settings import PARTITIONER
from support.cluster import PARTITIONS, MockCluster
from wordcount_stream.deltas import decode, encode, home_of, murmur2, split


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


def test_split_keeps_every_count_at_its_home() -> None:
    counts = Counter({f"word{i}": i + 1 for i in range(100)})
    homes = split(counts, 6)
    assert {word: count for part in homes.values() for word, count in part.items()} == counts
    assert all(home_of(word, 6) == home for home, part in homes.items() for word in part)


def test_small_counts_are_one_record() -> None:
    assert list(encode({"a": 1, "č": 2})) == ['{"a":1,"č":2}'.encode()]


def test_records_stay_under_the_limit_and_lose_nothing() -> None:
    counts = {f"wörd{i}": i for i in range(1000)}
    records = list(encode(counts, limit=2000))
    assert len(records) > 1
    assert max(map(len, records)) <= 2000
    assert {word: n for record in records for word, n in decode(record).items()} == counts


def test_a_word_larger_than_the_limit_still_gets_a_record() -> None:
    counts = {"a": 1, "b" * 100: 2, "c": 3}
    assert [decode(record) for record in encode(counts, limit=50)] == [{"a": 1}, {"b" * 100: 2}, {"c": 3}]


@pytest.mark.parametrize("data", [b"", b"\xff", b"[1]", b'{"a": "1"}', b'{"a": 1.5}', b'{"a": true}'])
def test_foreign_records_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)
