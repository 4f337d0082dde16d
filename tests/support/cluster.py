"""librdkafka's mock cluster: brokers in this process, which answer as Kafka does and need no JVM."""

import ctypes
import uuid
from collections.abc import Sequence
from contextlib import closing

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition, cimpl

PARTITIONS = 4
"""Of every topic; a topic is there as soon as a client asks for it."""

PRODUCE, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP = 0, 9, 10, 11
"""The numbers of requests in Kafka's protocol."""

LIBRARY = ctypes.CDLL(cimpl.__file__)
for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new", "rd_kafka_produceva"):
    getattr(LIBRARY, name).restype = ctypes.c_void_p
LIBRARY.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p


class _Vu(ctypes.Structure):
    """librdkafka's rd_kafka_vu_t: one argument of `rd_kafka_produceva`; the union has 64 bytes."""

    _fields_ = (("kind", ctypes.c_int), ("content", ctypes.c_uint64 * 8))


_TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _HEADER = 1, 3, 4, 5, 7, 9
_COPY = 2


def _address(data: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def _vu(kind: int, *fields: int | bytes | None) -> _Vu:
    """One argument; bytes become a pointer. The caller keeps the bytes alive."""
    numbers = [_address(field) if isinstance(field, bytes) else field or 0 for field in fields]
    return _Vu(kind, (ctypes.c_uint64 * 8)(*numbers))


class MockCluster:
    """A cluster of mock brokers, until it is closed.

    The C interface starts it, because the clients' `test.mock.num.brokers` cannot turn off the three seconds that
    the first members of a group wait for others.
    """

    def __init__(self, brokers: int = 1) -> None:
        config = ctypes.c_void_p(LIBRARY.rd_kafka_conf_new())
        LIBRARY.rd_kafka_conf_set(config, b"log_level", b"0", None, ctypes.c_size_t(0))
        self._client = ctypes.c_void_p(LIBRARY.rd_kafka_new(0, config, None, ctypes.c_size_t(0)))
        self._cluster = ctypes.c_void_p(LIBRARY.rd_kafka_mock_cluster_new(self._client, brokers))
        self.gather_members(0)
        self.address = str(LIBRARY.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())
        self._producer = Producer({"bootstrap.servers": self.address, "log_level": 0})
        self._raw: ctypes.c_void_p | None = None

    def close(self) -> None:
        """Stop the brokers."""
        if self._raw is not None:
            LIBRARY.rd_kafka_destroy(self._raw)
        LIBRARY.rd_kafka_mock_cluster_destroy(self._cluster)
        LIBRARY.rd_kafka_destroy(self._client)

    def gather_members(self, milliseconds: int) -> None:
        """How long the first member of a group waits for others."""
        LIBRARY.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(milliseconds))

    def fail_next_write(self, code: int) -> None:
        """Answer the next request to produce with this error."""
        self._fail_next(PRODUCE, code)

    def fail_next_join(self, code: int) -> None:
        """Answer the next request to join a group with this error."""
        self._fail_next(JOIN_GROUP, code)

    def fail_next_committed(self) -> None:
        """Answer the next question for committed offsets as a coordinator that has moved."""
        self._fail_next(OFFSET_FETCH, KafkaError.NOT_COORDINATOR)

    def fail_coordinators(self) -> None:
        """Let no group find its coordinator any more."""
        self._fail_next(FIND_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, 1000)

    def _fail_next(self, request: int, code: int, times: int = 1) -> None:
        errors = (ctypes.c_int * times)(*[code] * times)
        push = LIBRARY.rd_kafka_mock_push_request_errors_array
        push(self._cluster, ctypes.c_int16(request), ctypes.c_size_t(times), errors)

    def topic(self) -> str:
        """The name of a new topic."""
        name = f"t-{uuid.uuid4().hex[:8]}"
        self._producer.list_topics(name, timeout=5)
        return name

    def send(
        self, topic: str, records: Sequence[tuple[str | None, bytes | str | None]], partition: int | None = None
    ) -> None:
        """Write keys and values, to one partition or to each in turn, with a header each."""
        for number, (key, value) in enumerate(records):
            where = number % PARTITIONS if partition is None else partition
            self._producer.produce(topic, value, key, headers=[("trace", b"1")], partition=where)
        assert self._producer.flush(10) == 0

    def send_raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[bytes, bytes | None]]
    ) -> None:
        """Write a record to partition 0 with any bytes as names of headers, which Python's client does not take."""
        if self._raw is None:
            config = ctypes.c_void_p(LIBRARY.rd_kafka_conf_new())
            for name, text in ((b"bootstrap.servers", self.address.encode()), (b"linger.ms", b"0")):
                LIBRARY.rd_kafka_conf_set(config, name, text, None, ctypes.c_size_t(0))
            self._raw = ctypes.c_void_p(LIBRARY.rd_kafka_new(0, config, None, ctypes.c_size_t(0)))
        name = topic.encode()
        parts = [_vu(_TOPIC, name), _vu(_PARTITION, 0), _vu(_FLAGS, _COPY)]
        parts += [_vu(_KEY, key, len(key))] if key is not None else []
        parts += [_vu(_VALUE, value, len(value))] if value is not None else []
        parts += [_vu(_HEADER, header, text, len(text or b"")) for header, text in headers]
        assert not LIBRARY.rd_kafka_produceva(self._raw, (_Vu * len(parts))(*parts), ctypes.c_size_t(len(parts)))
        assert LIBRARY.rd_kafka_flush(self._raw, ctypes.c_int(10_000)) == 0

    def read(self, topic: str) -> list[Message]:
        """Every record of a topic, partition by partition."""
        self._producer.list_topics(topic, timeout=5)  # from now on there is one
        # A mock broker answers nothing else while a fetch waits for records.
        config = {"bootstrap.servers": self.address, "group.id": "reader", "fetch.wait.max.ms": 10}
        with closing(Consumer(config)) as consumer:
            parts = [TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
            consumer.assign(parts)
            total = sum(consumer.get_watermark_offsets(part, 5)[1] for part in parts)
            messages: list[Message] = []
            while len(messages) < total:
                messages += consumer.consume(total - len(messages), 10)
            return sorted(messages, key=lambda message: (message.partition(), message.offset()))

    def committed(self, group: str, topic: str) -> int:
        """The sum of a group's committed offsets of a topic."""
        with closing(Consumer({"bootstrap.servers": self.address, "group.id": group})) as consumer:
            parts = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            return sum(max(0, part.offset) for part in consumer.committed(parts, timeout=10))
