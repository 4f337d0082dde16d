"""Records as librdkafka's client gives them, whose own class cannot be made."""

from dataclasses import dataclass

from confluent_kafka import KafkaError


@dataclass(frozen=True)
class FakeMessage:
    """A record, or an error of the client."""

    _topic: str
    _partition: int
    _offset: int
    _key: bytes | None
    _value: bytes | None
    _error: KafkaError | None

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> None:
        return None


def message(
    topic: str, partition: int, offset: int, key: bytes | None = None, value: bytes | None = None
) -> FakeMessage:
    """A record without an error."""
    return FakeMessage(topic, partition, offset, key, value, None)


def failed(error: KafkaError, partition: int = 0) -> FakeMessage:
    """An error of the client, which comes among the records."""
    return FakeMessage("", partition, 0, None, None, error)
