"""A transactional producer for Quix in which every call has a deadline.

Quix calls librdkafka's transactional functions without a timeout outside a rebalance. When a coordinator or leader
stops, they wait for a minute and more, although a new producer would continue within seconds.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Producer as ConfluentProducer
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka.producer import Producer
from typing_extensions import override

from newsroom.access import Access, Right
from newsroom.background import in_background
from newsroom.logs import get_logger
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import Message

    from newsroom.errors import LastingFailure

CHECKPOINT_SECONDS = 7.0
"""How long a checkpoint may take: delivery of its records, adding the offsets and ending the transaction, with their
repetitions. A cluster elects new leaders within about six seconds. With `ABORT_SECONDS` it is shorter than the
transaction's timeout."""

LEAST_SECONDS = 2.0
"""What is left of `CHECKPOINT_SECONDS` for the commit after a slow delivery, at least."""

COMMIT_SECONDS = 3.0
"""What a client has for the commit if its last checkpoint succeeded. A dead coordinator it may not forget for 35 s, and
a new client costs a second. A new client has more time, so that a slow cluster gets on, too."""

SLOW_SECONDS, DOUBTFUL_SECONDS = 1.0, 0.5
"""A delivery that took longer than the first waited for new leaders. The commit after it has the second: one of the
two coordinators may have been on the same broker."""

ABORT_SECONDS = 2.0
GRACE_SECONDS = 0.2
"""How much longer than its timeout a call may take until the client is given up."""

INIT_SECONDS = 8.0
"""How long a new producer waits for its coordinator, which aborts the transaction that an earlier one left open."""

LINES_PER_SECOND = 50
"""How many lines of results are logged. More of them would hide every warning."""

T = TypeVar("T")

log = get_logger(__name__)


class _PromptProducer(Producer):
    """Quix's producer, but each call that settles a transaction returns in time.

    librdkafka's own deadline does not suffice: with a dead group coordinator `send_offsets_to_transaction` returned
    after 35 s instead of 7. So each call has a thread, bound to the client that it began with. The caller gives that
    client up, and a successor with the same transactional id fences whatever the late call still sends.
    """

    @property
    @override
    def _producer(self) -> ConfluentProducer:
        if self._inner_producer is None:
            client = ConfluentProducer(self._producer_config)
            if self.transactional:
                promptly(client.init_transactions, INIT_SECONDS)
            self._inner_producer = client
        return self._inner_producer

    @override
    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: Any, timeout: float | None = None
    ) -> None:
        promptly(partial(self._producer.send_offsets_to_transaction, positions, group_metadata), timeout)

    @override
    def commit_transaction(self, timeout: float | None = None) -> None:
        promptly(self._producer.commit_transaction, timeout)

    @override
    def abort_transaction(self, timeout: float | None = None) -> None:
        promptly(self._producer.abort_transaction, timeout)

    def replace(self) -> None:
        """Drop the client without waiting for what it still has to send, and connect a new one."""
        if self._inner_producer is not None:
            self._inner_producer.purge(blocking=False)
            self._inner_producer = None
        _ = self._producer


def promptly(call: Callable[[float], T], timeout: float | None) -> T:
    """Make a call of librdkafka that takes its timeout, and wait a moment longer than that.

    Raises:
        KafkaException: the call failed, or did not return in time; no repetition with this client helps then.
    """
    seconds = CHECKPOINT_SECONDS if timeout is None else timeout
    try:
        return in_background(partial(call, seconds)).result(seconds + GRACE_SECONDS)
    except TimeoutError:
        late = KafkaError(KafkaError._TIMED_OUT, f"the Kafka client did not return within {seconds:.1f} s")  # noqa: SLF001
        raise KafkaException(late) from None


def with_claims(positions: Iterable[TopicPartition], claims: Mapping[str, str]) -> list[TopicPartition]:
    """Offsets to commit, with what the group says about itself as their metadata."""
    return [
        TopicPartition(position.topic, position.partition, position.offset, claims.get(position.topic, ""))
        for position in positions
    ]


class AfterCommit:
    """The log lines of results, written once their transaction is committed: of an aborted one nothing is true.

    A line a result is for a reader. Of more than a reader takes, the newest are written.
    """

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []
        self._allowed = float(LINES_PER_SECOND)
        self._last = time.monotonic()

    def add(self, call: Callable[[], object]) -> None:
        """Write this line after the commit."""
        self._calls.append(call)

    def run(self) -> None:
        """Write at most `LINES_PER_SECOND` lines a second, after a line that says how many were left out."""
        now = time.monotonic()
        self._allowed = min(LINES_PER_SECOND, self._allowed + (now - self._last) * LINES_PER_SECOND)
        self._last = now
        calls, self._calls = self._calls, []
        written = calls[len(calls) - min(len(calls), int(self._allowed)) :]
        if len(written) < len(calls):
            log.info("lines of results left out", left_out=len(calls) - len(written), written=len(written))
        self._allowed -= len(written)
        for call in written:
            call()

    def forget(self) -> None:
        """Drop all of them: the transaction is aborted."""
        self._calls.clear()


def log_client_error(error: KafkaError) -> None:
    """Log what a client of Quix reports by itself; what follows from it is said by the call that fails."""
    level = logging.WARNING if error.code() == KafkaError._ALL_BROKERS_DOWN else logging.DEBUG  # noqa: SLF001
    logging.getLogger(__name__).log(level, "a Kafka client reports: %s", error.str())


class BoundedProducer(InternalProducer):
    """Quix's producer with a deadline where Quix sets none; it names what the cluster denies.

    `claims` has the metadata of a transaction's offsets, by topic.
    """

    def __init__(
        self,
        access: Access,
        after_commit: AfterCommit,
        claims: Mapping[str, str],
        **options: Any,  # noqa: ANN401 - Quix's own
    ) -> None:
        super().__init__(**options)
        options.pop("on_error")
        self._producer = self._prompt = _PromptProducer(**options, error_callback=self._on_client_error)
        self._access = access
        self._after_commit = after_commit
        self._claims = claims
        self._refused: LastingFailure | None = None
        self._deadline = Deadline(0)
        self._succeeded = False
        """Whether the last checkpoint of this client succeeded."""

    def start_over(self) -> None:
        """Replace the client: the new one aborts the open transaction, or waits until its commit is complete."""
        self._active_transaction = False
        self._error = None
        self._tp_offsets = {}
        self._after_commit.forget()
        self._succeeded = False
        self._prompt.replace()

    def _on_client_error(self, error: KafkaError) -> None:
        self._access.note(error)
        log_client_error(error)

    @override
    def poll(self, timeout: float = 0) -> None:
        super().poll(timeout)
        self._access.check()

    @override
    def _on_delivery(self, err: KafkaError | None, msg: Message) -> None:
        if err is None:
            self._access.answered()
        else:
            right = Right("WRITE", "topic", msg.topic())
            self._refused = self._refused or self._access.failure(err, right)
        super()._on_delivery(err, msg)

    @override
    def _raise_for_error(self) -> None:
        if self._refused is not None:
            raise self._refused
        super()._raise_for_error()  # type: ignore[no-untyped-call]

    @override
    def flush(self, timeout: float | None = None) -> int:
        self._deadline = Deadline(CHECKPOINT_SECONDS)
        return super().flush(CHECKPOINT_SECONDS if timeout is None else timeout)

    @override
    def commit_transaction(
        self, positions: list[TopicPartition], group_metadata: Any, timeout: float | None = None
    ) -> None:
        said = with_claims(positions, self._claims)
        super().commit_transaction(said, group_metadata, self._commit_seconds() if timeout is None else timeout)
        self._succeeded = True
        self._after_commit.run()

    def _commit_seconds(self) -> float:
        left = self._deadline.left()
        if not self._succeeded:
            return max(left, LEAST_SECONDS)
        return COMMIT_SECONDS if CHECKPOINT_SECONDS - left < SLOW_SECONDS else DOUBTFUL_SECONDS

    @override
    def abort_transaction(self, timeout: float | None = None) -> None:
        self._after_commit.forget()
        super().abort_transaction(ABORT_SECONDS if timeout is None else min(timeout, ABORT_SECONDS))
