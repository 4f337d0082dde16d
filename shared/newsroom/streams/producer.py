"""A transactional producer for Quix in which every call has a deadline.

Quix calls librdkafka's transactional functions without a timeout outside a rebalance. When a coordinator or leader
stops, they wait for a minute and more, although a new producer would continue within seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer as ConfluentProducer
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka.producer import Producer
from typing_extensions import override

from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

CHECKPOINT_SECONDS = 7.0
"""How long a checkpoint may take: delivery of its records, adding the offsets and ending the transaction, with their
repetitions. A cluster elects new leaders within about six seconds. With `ABORT_SECONDS` it is shorter than the
transaction's timeout."""

LEAST_SECONDS = 2.0
"""What is left of `CHECKPOINT_SECONDS` for the commit after a slow delivery, at least."""

ABORT_SECONDS = 2.0
INIT_SECONDS = 8.0
"""How long a new producer waits for its coordinator, which aborts the transaction that an earlier one left open."""


class _InitializedProducer(Producer):
    """Quix's producer, but `init_transactions` has a deadline."""

    @property
    @override
    def _producer(self) -> ConfluentProducer:
        if self._inner_producer is None:
            producer = ConfluentProducer(self._producer_config)
            producer.init_transactions(INIT_SECONDS)
            self._inner_producer = producer
        return self._inner_producer

    def replace(self) -> None:
        """Drop the client without waiting for what it still has to send, and connect a new one."""
        if self._inner_producer is not None:
            self._inner_producer.purge(blocking=False)
            self._inner_producer = None
        _ = self._producer


class BoundedProducer(InternalProducer):
    """Quix's transactional producer with a deadline where Quix sets none."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Quix's own options
        super().__init__(**options)
        options.pop("on_error")
        self._producer = self._initialized = _InitializedProducer(**options)
        self._deadline = Deadline(0)

    def start_over(self) -> None:
        """Replace the client: the new one aborts the open transaction, or waits until its commit is complete."""
        self._active_transaction = False
        self._error = None
        self._tp_offsets = {}
        self._initialized.replace()

    @override
    def flush(self, timeout: float | None = None) -> int:
        self._deadline = Deadline(CHECKPOINT_SECONDS)
        return super().flush(CHECKPOINT_SECONDS if timeout is None else timeout)

    @override
    def commit_transaction(
        self, positions: list[TopicPartition], group_metadata: Any, timeout: float | None = None
    ) -> None:
        left = max(self._deadline.left(), LEAST_SECONDS)
        super().commit_transaction(positions, group_metadata, left if timeout is None else timeout)

    @override
    def abort_transaction(self, timeout: float | None = None) -> None:
        super().abort_transaction(ABORT_SECONDS if timeout is None else min(timeout, ABORT_SECONDS))
