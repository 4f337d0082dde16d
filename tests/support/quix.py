"""A topology run without a broker: Quix's own executors, with state on disk and a producer that keeps its records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.serialization import MessageField
from prometheus_client import REGISTRY
from quixstreams import Application
from quixstreams.context import set_message_context
from quixstreams.models import MessageContext, Topic, TopicConfig
from quixstreams.models.serializers import SerializationContext
from typing_extensions import override

from newsroom.streams.dead_letters import DeadLetterTopic
from newsroom.topics import DEAD_LETTER_BYTES

LETTERS = DeadLetterTopic("g.dlq", "g", DEAD_LETTER_BYTES)


@dataclass(frozen=True)
class Letter:
    """A dead letter as it was produced."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]

    @property
    def origin(self) -> dict[str, bytes | None]:
        """What the headers say about its origin."""
        return {name.removeprefix("dlq."): value for name, value in self.headers if name.startswith("dlq.")}


class FakeProducer:
    """Keeps what is produced: topic, key, value and timestamp."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes, int | None]] = []
        self.headers: list[Any] = []
        self.letters: list[Letter] = []

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        *,
        timestamp: int | None = None,
        headers: Any = (),  # noqa: ANN401
        **_: Any,  # noqa: ANN401
    ) -> None:
        self.records.append((topic, key, value, timestamp))
        if topic == LETTERS.name:
            self.letters.append(Letter(key, value, list(headers)))

    def produce_row(self, row: Any, topic: Topic, key: Any, timestamp: int) -> None:  # noqa: ANN401
        message = topic.row_serialize(row=row, key=key)
        self.headers.append(message.headers)
        self.records.append((topic.name, message.key, message.value, timestamp))  # type: ignore[arg-type]


class OfflineApplication(Application):
    """Declares topics as on a cluster, without asking a broker."""

    def __init__(self, folder: Path) -> None:
        super().__init__("nowhere:1", use_changelog_topics=False, state_dir=folder, loglevel=None)
        self.topics: dict[str, Topic] = {}

    @override
    def topic(self, name: str, **options: Any) -> Topic:  # type: ignore[override]
        topic = self.topics[name] = Topic(name, **options)
        topic.broker_config = TopicConfig(6, 3, {"retention.ms": "-1", "retention.bytes": "-1"})
        return topic


class Running:
    """A topology that is fed record by record. `build` adds it to the application; `store` names its state."""

    def __init__(self, folder: Path, build: Callable[[Application], None], store: str) -> None:
        self.app = OfflineApplication(folder)
        self._producer = FakeProducer()
        self.app._processing_context.producer = self._producer  # type: ignore[assignment]
        build(self.app)
        self._executors = self.app._dataframe_registry.compose_all()
        self.app._state_manager.on_partition_assign(store, 0, {})
        self.app._processing_context.init_checkpoint()  # type: ignore[no-untyped-call]

    def feed(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = b"key",
        *,
        timestamp: int = 1000,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Process a record."""
        context = SerializationContext(topic=topic, field=MessageField.VALUE)
        decoded = None if value is None else self.app.topics[topic]._value_deserializer(value, context)
        set_message_context(MessageContext(topic=topic, partition=0, offset=7, size=1))
        self._executors[topic](decoded, key, timestamp, list(headers))

    @property
    def headers(self) -> list[Any]:
        """The headers of each result so far."""
        return self._producer.headers

    @property
    def letters(self) -> list[Letter]:
        """The dead letters so far."""
        return self._producer.letters

    def records_of(self, topic: str) -> list[tuple[bytes, bytes, int | None]]:
        """What was written to a topic: key, value and timestamp."""
        return [record[1:] for record in self._producer.records if record[0] == topic]


def counter(name: str, **labels: str) -> float:
    """The value of a Prometheus counter of this process."""
    return REGISTRY.get_sample_value(f"newsroom_{name}_total", labels) or 0.0
