"""Sends poison records to the group's dead-letter topic, in the transaction that commits their offsets.

So a record is either in the dead-letter topic once and behind the committed offset, or is read again: decision 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quixstreams.context import message_context

from newsroom.dead_letters import WHOLE_BYTES, origin_headers
from newsroom.errors import ClusterUnavailable
from newsroom.logs import get_logger
from newsroom.streams.outputs import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quixstreams.internal_producer import InternalProducer

    from newsroom.streams.decoding import InputMetrics, Poison

    Header = tuple[str, bytes | None]

log = get_logger(__name__)

FRAME_BYTES = 200
HEADER_BYTES = 12
"""More than what a record's batch, and a header's lengths, add to the bytes of a record."""


@dataclass(frozen=True)
class DeadLetterTopic:
    """The topic that takes the poison of a group, and the largest record that it takes (max.message.bytes)."""

    name: str
    group: str
    most_bytes: int


class DeadLetters:
    """Writes dead letters with the producer of the topology."""

    def __init__(self, topic: DeadLetterTopic, inputs: InputMetrics, producer: Callable[[], InternalProducer]) -> None:
        self._topic = topic
        self._inputs = inputs
        self._producer = producer

    def put(self, poison: Poison, key: bytes | None, timestamp: int, headers: Any) -> None:  # noqa: ANN401 - Quix's
        """Write the record that is being processed as it was received; headers name its origin and the reason.

        A record that is too large with these headers keeps half of its limit of its value, or else its origin alone.
        The topic that it comes from still has all of it.

        Raises:
            ClusterUnavailable: the brokers do not accept records, so the client's queue stays full.
        """
        place = message_context()
        self._inputs.poison_of(place.topic).inc()
        log.warning(
            "sending a poison record to the dead-letter topic",
            topic=place.topic,
            partition=place.partition,
            offset=place.offset,
            reason=poison.reason,
            to=self._topic.name,
        )
        origin = origin_headers(
            place.topic, place.partition, place.offset, timestamp, error=poison.reason, group=self._topic.group
        )
        key, value, headers = self._fitting(key, poison.value, list(headers or ()), origin)
        name = self._topic.name
        try:
            self._producer().produce(name, value, key, headers=headers)
        except BufferError as error:
            raise ClusterUnavailable(f"the brokers did not accept a dead letter for topic {name}") from error

    def _fitting(
        self, key: bytes | None, value: bytes | None, own: list[Header], origin: list[Header]
    ) -> tuple[bytes | None, bytes | None, list[Header]]:
        """Key, value and headers, or what of them fits. A refused record would abort each transaction that has it."""
        if self._fits(key, value, [*own, *origin]):
            return key, value, [*own, *origin]
        origin = [*origin, (WHOLE_BYTES, str(len(value or b"")).encode())]
        cut = (value or b"")[: self._topic.most_bytes // 2]
        if self._fits(key, cut, [*own, *origin]):
            return key, cut, [*own, *origin]
        return None, b"", origin

    def _fits(self, key: bytes | None, value: bytes | None, headers: Iterable[Header]) -> bool:
        headers = list(headers)
        return size_of(key, value, headers) + FRAME_BYTES + HEADER_BYTES * len(headers) <= self._topic.most_bytes
