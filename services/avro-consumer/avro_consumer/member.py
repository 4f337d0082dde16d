"""A member of a consumer group: its partitions, its records, and the commits of its offsets."""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from avro_consumer import metrics
from avro_consumer.background import in_background
from avro_consumer.commits import CommitResult, classify
from avro_consumer.errors import CommitRefused, MemberFenced
from avro_consumer.records import Record
from newsroom.errors import ClusterUnavailable, NotYet, SettingsError
from newsroom.kafka_errors import UNREACHABLE, kafka_error, reason_of
from newsroom.lifecycle import log_error
from newsroom.logs import get_logger
from newsroom.waiting import Deadline, Wait, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from newsroom.health import Health
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

MEMBERSHIP = "group membership"
BROKERS = "brokers"
"""What the member needs to be ready."""

TAKE_SECONDS = 0.2
"""`consume` returns a full batch, or what it has after this time."""

COMMIT_SECONDS = 3.0
CLOSE_SECONDS = 4.0
"""librdkafka retries a synchronous commit while brokers hang (30 s and more in tests) and runs no callback meanwhile.
One commit and the close together stay below SIGTERM's ten seconds."""

METADATA_SECONDS = 2.0
"""The timeout of one metadata request. The member retries until its start timeout."""

BROKER_LOSS_SECONDS = 10.0
"""A member without a broker for this long is not ready. A broker restarts in less time."""

SETTLED_MILLISECONDS = 1000
"""With KIP-848 a member without partitions never leaves the state `init`. This long after it finds the coordinator,
its first heartbeat has been answered."""

EVENTS = {"assigned": "partitions assigned", "revoked": "partitions revoked", "lost": "partitions lost"}
"""What a rebalance did, and the log line for it."""

LABELS = {
    CommitResult.OK: "ok",
    CommitResult.REBALANCED: "rebalanced",
    CommitResult.UNREACHABLE: "unreachable",
    CommitResult.FENCED: "refused",
    CommitResult.REFUSED: "refused",
}
"""The metric's label for each result of a commit."""

RETRIES = {
    CommitResult.REBALANCED: "the cluster refused the commit during a rebalance; the new owner reads the records again",
    CommitResult.UNREACHABLE: "the cluster did not accept the commit; the next commit includes these offsets",
}
"""The log line for a failed commit after which the member continues."""


class Member:
    """Reads one topic as a member of a consumer group. A context manager: its exit commits and leaves the group.

    Offsets are committed after the effect: `done` notes the offsets of processed records, `commit` commits them.
    """

    def __init__(
        self, config: Mapping[str, Any], topic: str, health: Health, client: Callable[..., Any] = Consumer
    ) -> None:
        self._topic = topic
        self._health = health
        self._kip_848 = config.get("group.protocol") == "consumer"
        self._owned: set[int] = set()
        self._done: dict[int, int] = {}
        """The offsets to commit: partition to the next offset to read."""
        self._held: list[Record] = []
        """Records from the client that `take` has not returned yet."""
        self._no_broker_since: float | None = None
        self._fatal: str | None = None
        self._last_error = ""
        self._closing = False
        self._unreachable = False
        self._committing: Future[list[TopicPartition]] | None = None
        self.joined = False
        """Whether this member has joined the group. It may have no partitions."""
        callbacks = {"error_cb": self._on_error, "stats_cb": self._on_stats}
        try:
            self._consumer = client({**config, **callbacks}, logger=logging.getLogger("librdkafka"))
        except KafkaException as error:
            raise SettingsError(f"the Kafka client refuses its settings: {reason_of(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # close() runs the revoke callback, which commits, and then leaves the group.
        self._closing = True
        try:
            if self._commit_hangs():
                raise TimeoutError  # noqa: TRY301 - closing the client during a commit is not safe
            in_background(self._consumer.close).result(CLOSE_SECONDS)
        except TimeoutError:
            log.warning("no broker answers, ending without leaving the group; its session timeout removes this member")
        else:
            log.info("left the group")

    def wait_for_topic(self, seconds: float, stop: StopFlag) -> None:
        """Wait until a broker answers and the topic exists.

        Raises:
            ClusterUnavailable: no broker answered within `seconds`, or the topic does not exist.
            Stopped: a signal arrived during the wait.
        """

        def attempt() -> None:
            self._health.tick()
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=METADATA_SECONDS)
            except KafkaException as error:
                self._consumer.poll(0)  # runs the error callback, which notes the cause
                raise NotYet(f"no broker answers ({self._last_error or reason_of(error)})") from error
            missing = metadata.topics[self._topic].error
            need(None if missing is None else f"topic {self._topic} does not exist ({missing.str()})")

        Wait(Deadline(seconds), stop, longest_pause=TAKE_SECONDS).until(
            attempt,
            lambda missing: ClusterUnavailable(
                f"{missing} after {seconds:g} s: start the cluster and run provision, or correct "
                "--bootstrap-servers or --topic",
                topic=self._topic,
            ),
        )

    def subscribe(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def take(self, limit: int) -> list[Record]:
        """Return at most `limit` records of owned partitions, or an empty list after a short wait.

        Raises:
            MemberFenced: this member cannot continue.
        """
        # Always ask for at least one record: these calls keep the member in its group.
        room = max(1, limit - len(self._held))
        messages = self._consumer.consume(room, 0 if self._held else TAKE_SECONDS)
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_error(error)
            # A rebalance inside consume() may revoke a partition whose records consume() returns. Its new owner
            # reads them, so this member drops them.
            elif message.partition() in self._owned:
                self._held.append(_record(message))
        if self._fatal is not None:
            raise _fenced(self._fatal)
        records, self._held = self._held[:limit], self._held[limit:]
        return records

    def put_back(self, records: Sequence[Record]) -> None:
        """Take back unread records of the last `take`. The next `take` returns those of partitions still owned."""
        self._held[:0] = records

    def done(self, progress: Mapping[int, int]) -> None:
        """Note which records have taken effect: partition to the offset after its last record."""
        self._done |= progress

    def commit(self, only: Iterable[int] | None = None) -> None:
        """Commit the noted offsets and wait for the answer; the next commit includes offsets that were not accepted.

        Raises:
            CommitRefused: the cluster refuses the group's offsets.
            MemberFenced: another process has this member's identity.
        """
        chosen = self._done if only is None else {p: self._done[p] for p in only if p in self._done}
        # Without brokers every commit would wait for its timeout, and delay the end beyond SIGTERM's limit.
        # Only one commit runs at a time, so that an old one cannot overwrite a newer one.
        down = self._no_broker_since is not None or (self._closing and self._unreachable)
        if not chosen or down or self._commit_hangs():
            return
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in chosen.items()]
        try:
            self._committing = in_background(partial(self._consumer.commit, offsets=offsets, asynchronous=False))
            results = self._committing.result(COMMIT_SECONDS)
            errors = {result.partition: result.error for result in results if result.error is not None}
        except KafkaException as error:
            errors = dict.fromkeys(chosen, kafka_error(error))
        except TimeoutError:
            errors = dict.fromkeys(chosen, KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        for partition in [partition for partition in chosen if partition not in errors]:
            del self._done[partition]
        self._judge(errors)

    def _commit_hangs(self) -> bool:
        return self._committing is not None and not self._committing.done()

    def _judge(self, errors: dict[int, KafkaError]) -> None:
        self._unreachable = any(error.code() in UNREACHABLE for error in errors.values())
        result = classify(errors)
        metrics.COMMITS.labels(LABELS[result]).inc()
        if result is CommitResult.OK:
            return
        text = next(iter(errors.values())).str()
        partitions = sorted(errors)
        if result is CommitResult.FENCED:
            raise _fenced(text)
        if result is CommitResult.REFUSED:
            raise CommitRefused(
                f"the cluster refuses the offsets of {self._topic} partitions {partitions}: {text}; check the "
                "group's permissions and its other members, then start again"
            )
        log.warning(RETRIES[result], partitions=partitions, why=text)

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # Cooperative rebalancing and KIP-848 name only the new partitions. The others stay.
        self._owned |= set(_numbers(partitions))
        self._note("assigned", partitions)
        self._reached_membership()

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # The member owns these partitions until the callback returns, so it can still commit.
        numbers = _numbers(partitions)
        try:
            self.commit(only=numbers)
        except (CommitRefused, MemberFenced) as error:
            # An exception here would only end the callback. The loop gets the error from the next commit.
            log_error(error)
        self._drop(numbers)
        self._note("revoked", partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # Other members may own these partitions already: a commit could overwrite their offsets.
        self._drop(_numbers(partitions))
        self._note("lost", partitions)
        self.joined = False
        self._health.lost(MEMBERSHIP, "the member lost its partitions and joins the group again")

    def _drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._owned.discard(number)
            self._done.pop(number, None)
        self._held = [record for record in self._held if record.partition in self._owned]

    def _note(self, event: str, partitions: list[TopicPartition]) -> None:
        metrics.REBALANCES.labels(event).inc()
        metrics.ASSIGNED.set(len(self._owned))
        log.info(
            EVENTS[event],
            topic=self._topic,
            partitions=sorted(_numbers(partitions)),
            owned=sorted(self._owned),
        )

    def _reached_membership(self) -> None:
        self.joined = True
        self._health.reached(MEMBERSHIP)

    def _on_error(self, error: KafkaError) -> None:
        self._last_error = error.str()
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._fatal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._no_broker()
        elif error.code() == KafkaError._TRANSPORT:  # noqa: SLF001
            log.debug("a broker connection failed", error=error.str())
        else:
            log.warning("the Kafka client reports an error", error=error.str(), code=error.name())

    def _on_stats(self, text: str) -> None:
        stats = json.loads(text)
        if any(broker["state"] in {"UP", "UPDATE"} for broker in stats["brokers"].values()):
            self._brokers_answer()
        else:
            self._no_broker()
        group = stats.get("cgrp", {})
        settled = group.get("state") == "up" and group.get("stateage", 0) >= SETTLED_MILLISECONDS
        if group.get("join_state") == "steady" or (
            self._kip_848 and settled and group["join_state"] == "init" and self._no_broker_since is None
        ):
            self._reached_membership()

    def _no_broker(self) -> None:
        now = time.monotonic()
        if self._no_broker_since is None:
            self._no_broker_since = now
            log.warning("no broker answers, retrying", error=self._last_error)
        elif now - self._no_broker_since >= BROKER_LOSS_SECONDS:
            self._health.lost(BROKERS, f"no broker has answered for {now - self._no_broker_since:.0f} s")

    def _brokers_answer(self) -> None:
        if self._no_broker_since is not None:
            self._no_broker_since = None
            log.info("brokers answer again")
        self._health.reached(BROKERS)


def _fenced(why: str) -> MemberFenced:
    return MemberFenced(
        f"this group member cannot continue: {why}; if another process uses the same group.instance.id, stop one of "
        "them or give it another --state-dir"
    )


def _numbers(partitions: Iterable[TopicPartition]) -> list[int]:
    return [partition.partition for partition in partitions]


def _record(message: Any) -> Record:  # noqa: ANN401 - the client has no types
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )
