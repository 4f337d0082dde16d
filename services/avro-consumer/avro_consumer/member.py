"""A member of a consumer group: its partitions and their records."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from avro_consumer import metrics
from avro_consumer.beginnings import Claims, claimed, committed
from avro_consumer.brokers import BrokerWatch
from avro_consumer.commits import Committer
from avro_consumer.ends import EndWatch
from avro_consumer.errors import CommitRefused, MemberFenced
from avro_consumer.messages import records_of
from avro_consumer.settings import EAGER
from newsroom.access import Access, Right
from newsroom.background import in_background
from newsroom.errors import ClusterUnavailable, LastingFailure, NewsroomError, NotYet, SettingsError, TopicMismatch
from newsroom.kafka_errors import reason_of
from newsroom.lifecycle import log_error
from newsroom.logs import get_logger
from newsroom.unread import UnreadWatch
from newsroom.waiting import StopFlag, Stopped, Wait, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from avro_consumer.records import Record
    from newsroom.health import Health
    from newsroom.topic_watch import TopicWatch
    from newsroom.waiting import Deadline

log = get_logger(__name__)

MEMBERSHIP = "group membership"
"""What the member needs to be ready."""

TAKE_SECONDS = 0.2
"""`consume` returns a full batch, or what it has after this time."""

CLOSE_SECONDS = 4.0
"""How long the member waits until it has left the group. `close` hangs while brokers hang."""

METADATA_SECONDS = 2.0
"""The timeout of one metadata request. The member retries until its start timeout."""

SETTLED_MILLISECONDS = 1000
"""With KIP-848 a member without partitions never leaves the state `init`. This long after it finds the coordinator,
its first heartbeat has been answered."""

EVENTS = {"assigned": "partitions assigned", "revoked": "partitions revoked", "lost": "partitions lost"}
"""What a rebalance did, and the log line for it."""


class Member:
    """Reads one topic as a member of a consumer group. A context manager: its exit commits and leaves the group.

    Offsets are committed after the effect: `done` notes the offsets of processed records, `commit` commits them.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        health: Health,
        *,
        client: Callable[..., Any] = Consumer,
        watch: TopicWatch | None = None,
        claims: Claims | None = None,
        stop: StopFlag | None = None,
    ) -> None:
        self._topic = topic
        self._group = str(config["group.id"])
        self._health = health
        self._watch = watch
        self._claims = claims
        self._stop = stop or StopFlag()
        self._failure: NewsroomError | Stopped | None = None
        """What went wrong inside a callback, for `take`."""
        self._access = Access(config, Right("READ", "topic", topic), Right("READ", "group", self._group))
        self._kip_848 = config.get("group.protocol") == "consumer"
        self._eager = config.get("partition.assignment.strategy") == EAGER
        self._owned: set[int] = set()
        self._held: list[Record] = []
        """Records from the client that `take` has not returned yet."""
        self._brokers = BrokerWatch(health)
        self._fatal: str | None = None
        self._last_error = ""
        self._closing = False
        self.joined = False
        """Whether this member has joined the group. It may have no partitions."""
        callbacks = {"error_cb": self._on_error, "stats_cb": self._on_stats}
        try:
            self._consumer = client({**config, **callbacks}, logger=logging.getLogger("librdkafka"))
        except KafkaException as error:
            raise SettingsError(f"the Kafka client refuses its settings: {reason_of(error)}") from error
        self._committer = Committer(self._consumer, topic, self._access)
        self._unread = UnreadWatch(self._consumer.get_watermark_offsets)
        self._end = EndWatch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # close() runs the revoke callback, which commits, and then leaves the group.
        self._closing = True
        self._committer.wait()
        try:
            if self._committer.hangs:
                raise TimeoutError  # noqa: TRY301 - closing the client during a commit is not safe
            in_background(self._consumer.close).result(CLOSE_SECONDS)
        except TimeoutError:
            log.warning("no broker answers, ending without leaving the group; its session timeout removes this member")
        else:
            log.info("left the group")

    def wait_for_topic(self, start: Deadline, stop: StopFlag) -> None:
        """Wait until a broker answers and the topic exists.

        Raises:
            ClusterUnavailable: no broker answered before the start's deadline, or the topic does not exist.
            LastingFailure: waiting does not help.
            Stopped: a signal arrived during the wait.
        """

        def attempt() -> None:
            self._health.tick()
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=METADATA_SECONDS)
            except KafkaException as error:
                self._consumer.poll(0)  # runs the error callback, which notes the cause
                self._access.no_answer()
                raise NotYet(f"no broker answers ({self._last_error or reason_of(error)})") from error
            self._access.check_advertised(metadata)
            missing = metadata.topics[self._topic].error
            if missing is not None:
                self._access.raise_lasting(missing)
            need(None if missing is None else f"topic {self._topic} does not exist ({missing.str()})")

        Wait(start, stop, longest_pause=TAKE_SECONDS).until(
            attempt,
            lambda missing: ClusterUnavailable(
                f"{missing} after {start.seconds:g} s: start the cluster and run provision, or correct "
                "--bootstrap-servers or --topic",
                topic=self._topic,
            ),
        )

    @property
    def without_records(self) -> str | None:
        """Why this member can't receive records now; None if it can."""
        if self._brokers.silent:
            return "no broker answers"
        if not self.joined:
            error = f" (the last error: {self._last_error})" if self._last_error else ""
            return f"not a member of group {self._group}{error}"
        if not self._owned:
            return f"this member of group {self._group} owns no partition of {self._topic}"
        return None

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that this member owns now."""
        return frozenset(self._owned)

    @property
    def at_end(self) -> bool:
        """Whether all records up to the end that `remember_ends` saw were taken, of the partitions that it owns."""
        return bool(self._owned) and not self._held and self._end.passed(self._owned)

    def remember_ends(self) -> None:
        """Note where the topic ends now.

        Raises:
            ClusterUnavailable: the brokers do not say.
        """
        self._end.remember(self._consumer, self._topic)

    def subscribe(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def take(self, limit: int) -> list[Record]:
        """Return at most `limit` records of owned partitions, or an empty list after a short wait.

        Raises:
            MemberFenced: this member cannot continue.
            LastingFailure: the cluster refuses this client.
            TopicMismatch: the topic was deleted, or made anew.
        """
        self._look_at_topic()
        # Always ask for at least one record: these calls keep the member in its group.
        room = max(1, limit - len(self._held))
        self._hold(self._consumer.consume(room, 0 if self._held else TAKE_SECONDS))
        if self._failure is not None:
            raise self._failure
        self._access.check()
        if self._fatal is not None:
            raise MemberFenced(self._fatal)
        records, self._held = self._held[:limit], self._held[limit:]
        return records

    def _hold(self, messages: list[Any]) -> None:
        """Keep the records of owned partitions."""
        if messages and any(map(type(messages[0]).error, messages)):
            for message in messages:
                if (error := message.error()) is not None:
                    self._on_event(message, error)
            messages = [message for message in messages if message.error() is None]
        records, partitions, offsets = records_of(self._topic, messages)
        # A rebalance inside consume() may revoke a partition whose records consume() returns. Its new owner reads them,
        # so this member drops them.
        if not self._owned.issuperset(partitions):
            records = [record for record in records if record.partition in self._owned]
            partitions, offsets = [record.partition for record in records], [record.offset for record in records]
        self._unread.note_all(self._topic, partitions, offsets)
        self._end.note_progress(dict(zip(partitions, offsets, strict=True)))
        self._held += records

    def _look_at_topic(self) -> None:
        if self._watch is None:
            return
        try:
            self._watch.look()
        except TopicMismatch as error:
            self._held.clear()
            self._committer.forget_all()
            if error.fields.get("recreated"):
                # The group may have committed an offset of the old topic since the new one exists.
                self._committer.note(dict.fromkeys(self._owned, 0))
            raise

    def put_back(self, records: Sequence[Record]) -> None:
        """Take back unread records of the last `take`. The next `take` returns those of partitions still owned."""
        self._held[:0] = records

    def done(self, offsets: Mapping[int, int]) -> None:
        """Note which records have taken effect: partition to the offset after its last record."""
        self._committer.note(offsets)

    @property
    def uncommitted(self) -> frozenset[int]:
        """The partitions with an offset that the cluster has not accepted."""
        return self._committer.uncommitted

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget the noted offsets of these partitions."""
        for partition in partitions:
            self._committer.forget(partition)

    def begin_commit(self) -> None:
        """Send the noted offsets, and those that were not accepted before; `settle` waits for the answer."""
        if self._may_commit():
            self._committer.begin()

    def settle(self) -> bool:
        """Wait for the answer to the commit that was begun; return whether the cluster accepted all of it.

        Raises:
            CommitRefused: the cluster refuses the group's offsets.
            LastingFailure: the user lacks a right.
            MemberFenced: another process has this member's identity.
        """
        return self._committer.settle()

    def commit(self, only: Iterable[int] | None = None) -> None:
        """Commit the noted offsets and wait for the answer; the next commit includes offsets that were not accepted.

        Raises:
            NewsroomError: as `settle`.
        """
        self._committer.settle()
        if self._may_commit():
            self._committer.commit(only)

    def _may_commit(self) -> bool:
        # Without brokers every commit would wait for its timeout, and delay the end beyond SIGTERM's limit.
        return not self._brokers.silent and not (self._closing and self._committer.unreachable)

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # Cooperative rebalancing and KIP-848 name only the new partitions. The others stay.
        self._owned |= set(_numbers(partitions))
        if partitions:
            self._begin(partitions)
        self._note("assigned", partitions)
        self._reached_membership()

    def _begin(self, partitions: list[TopicPartition]) -> None:
        try:
            if self._claims is not None:
                begins = claimed(self._claims, partitions)
            else:
                begins = committed(self._consumer, partitions, self._stop)
        except (NewsroomError, Stopped) as error:
            # An exception here would only end the callback. `take` raises it, before it returns a record.
            self._failure = error
        except KafkaException as error:
            # The client asks, too, and gets the same error for `take`.
            log.debug("the committed offsets are not known", error=reason_of(error))
        else:
            self._unread.begin_at(begins)
            (self._consumer.assign if self._eager else self._consumer.incremental_assign)(begins)

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # The member owns these partitions until the callback returns, so it can still commit.
        numbers = _numbers(partitions)
        try:
            self.commit(only=numbers)
        except (CommitRefused, LastingFailure, MemberFenced, TopicMismatch) as error:
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
            self._committer.forget(number)
            self._end.leave(number)
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

    def _on_event(self, message: Any, error: KafkaError) -> None:  # noqa: ANN401 - the client has no types
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._end.reached(message.partition())
        else:
            self._on_error(error)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self._last_error:  # noqa: SLF001 - it names no address
            self._last_error = error.str()
        self._access.note(error)
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._fatal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._brokers.none_answers(self._last_error)
        elif error.code() == KafkaError._TRANSPORT:  # noqa: SLF001
            log.debug("a broker connection failed", error=error.str())
        else:
            log.warning("the Kafka client reports an error", error=error.str(), code=error.name())

    def _on_stats(self, text: str) -> None:
        stats = json.loads(text)
        if any(broker["state"] in {"UP", "UPDATE"} for broker in stats["brokers"].values()):
            self._brokers.one_answers()
            self._access.answered()
        else:
            self._brokers.none_answers(self._last_error)
        group = stats.get("cgrp", {})
        settled = group.get("state") == "up" and group.get("stateage", 0) >= SETTLED_MILLISECONDS
        if group.get("join_state") == "steady" or (
            self._kip_848 and settled and group["join_state"] == "init" and not self._brokers.silent
        ):
            self._reached_membership()


def _numbers(partitions: Iterable[TopicPartition]) -> list[int]:
    return [partition.partition for partition in partitions]
