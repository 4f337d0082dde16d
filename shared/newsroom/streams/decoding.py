"""The inputs of a stream service: an undecodable record becomes a value and does not stop the service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter
from quixstreams.models import Deserializer
from typing_extensions import override

from newsroom.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quixstreams import Application
    from quixstreams.dataframe import StreamingDataFrame
    from quixstreams.models import SerializationContext

Headers = Iterable[tuple[str, Any]]


@dataclass(frozen=True)
class Poison:
    """Stands in for a value that its topic's decoder rejected."""

    reason: str
    value: bytes | None
    """The value as received."""


class ValueDeserializer(Deserializer):
    """Turns bytes and headers into a value with `decode`, and into `Poison` when that raises `DecodeError`.

    If a deserializer raises, the service stops at the same record after every restart. If it ignores the record, Quix
    does not commit its offset. Any other error (the registry does not answer) is not the record's fault. It stops the
    service, which reads the record again after its restart.
    """

    def __init__(self, decode: Callable[[bytes, Headers], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._decode = decode

    @override
    def __call__(self, value: bytes, ctx: SerializationContext) -> Any:
        try:
            headers: Any = ctx.headers
            return self._decode(value, headers or ())
        except DecodeError as error:
            return Poison(str(error), value)


def input_frame(app: Application, topic: str, decode: Callable[[bytes, Headers], Any]) -> StreamingDataFrame:
    """Add a dataframe of a topic's decoded values; Quix requests the topic's partitions from the broker."""
    return app.dataframe(app.topic(topic, value_deserializer=ValueDeserializer(decode)))


class InputMetrics:
    """Counts the records that a service reads, and the poison records among them, by topic."""

    def __init__(self, service: str) -> None:
        self._read = Counter(f"newsroom_{service}_messages", "Records read, by topic.", ["topic"])
        self._poison = Counter(
            f"newsroom_{service}_undecodable", "Poison records sent to the dead-letter topic, by topic.", ["topic"]
        )

    def records_of(self, topic: str) -> Counter:
        """The counter of a topic's records. Its series exist from the start, so their first increase is visible."""
        self._poison.labels(topic)
        return self._read.labels(topic)

    def poison_of(self, topic: str) -> Counter:
        """The counter of a topic's poison records."""
        return self._poison.labels(topic)


def decode_text(data: bytes, _: object = ()) -> str:
    """Decode UTF-8.

    Raises:
        DecodeError: the bytes are not valid UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"the value is not valid UTF-8: {error}") from error
