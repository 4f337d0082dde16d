"""A member of a consumer group: what it owns, what it has done, and the commits of that."""

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
"""What readiness needs."""

TAKE_SECONDS = 0.2
"""`consume` returns at a full batch or after this: the longest a lone record waits for company."""

COMMIT_SECONDS = 3.0
CLOSE_SECONDS = 4.0
"""librdkafka repeats a synchronous commit for as long as brokers hang (30 s and more were seen), and serves no
callback meanwhile. A healthy one takes milliseconds. One commit and the close stay below SIGTERM's ten seconds."""

METADATA_SECONDS = 2.0
"""One question for metadata; asked again until the start's deadline."""

BROKER_LOSS_SECONDS = 10.0
"""Longer than a broker needs to restart in place; a member that has had none for so long is not ready."""

SETTLED_MILLISECONDS = 1000
"""With KIP-848 a member without partitions never leaves the state `init`. Its first heartbeat is answered well
within this time after the coordinator is found."""

EVENTS = {"assigned": "partitions assigned", "revoked": "partitions revoked", "lost": "partitions lost"}
"""What a rebalance did, and what is logged about it."""

LABELS = {
    CommitResult.OK: "ok",
    CommitResult.REBALANCED: "rebalanced",
    CommitResult.UNREACHABLE: "unreachable",
    CommitResult.FENCED: "refused",
    CommitResult.REFUSED: "refused",
}
"""A commit's result as a label of the metric."""

RETRIES = {
    CommitResult.REBALANCED: "commit refused, the group rebalances; a new owner reads again",
    CommitResult.UNREACHABLE: "commit not accepted now, tried again with the next",
}
"""A commit's result, and what is logged when the member goes on."""


class Member:
    """Reads one topic as a member of a group. A context manager; closing it commits what is done and leaves.

    Offsets are committed after the effect: `done` says what has taken effect, `commit` commits it.
    """

    def __init__(
        self, config: Mapping[str, Any], topic: str, health: Health, client: Callable[..., Any] = Consumer
    ) -> None:
        self._topic = topic
        self._health = health
        self._kip_848 = config.get("group.protocol") == "consumer"
        self._owned: set[int] = set()
        self._done: dict[int, int] = {}
        """Partition to the next offset to read: effects that are not committed yet."""
        self._held: list[Record] = []
        """Records that the client has given and nobody has read."""
        self._no_broker_since: float | None = None
        self._fatal: str | None = None
        self._last_error = ""
        self._closing = False
        self._unreachable = False
        self._committing: Future[list[TopicPartition]] | None = None
        self.joined = False
        """Whether the group has taken this member in, be it without partitions."""
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
        # close() runs the revoke callback, which commits what is done, and then leaves the group.
        self._closing = True
        try:
            if self._commit_hangs():
                raise TimeoutError  # noqa: TRY301 - the client must not be closed under a call that uses it
            in_background(self._consumer.close).result(CLOSE_SECONDS)
        except TimeoutError:
            log.warning("no broker answers; gone without leaving the group, which notices by its session timeout")
        else:
            log.info("left the group")

    def wait_for_topic(self, seconds: float, stop: StopFlag) -> None:
        """Wait until a broker answers and the topic exists.

        Raises:
            ClusterUnavailable: neither happened within `seconds`.
            Stopped: a signal came meanwhile.
        """

        def attempt() -> None:
            self._health.tick()
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=METADATA_SECONDS)
            except KafkaException as error:
                self._consumer.poll(0)  # brings the error callback, which knows the cause
                raise NotYet(f"no broker answers ({self._last_error or reason_of(error)})") from error
            missing = metadata.topics[self._topic].error
            need(None if missing is None else f"topic {self._topic} is not there ({missing.str()})")

        Wait(Deadline(seconds), stop, longest_pause=TAKE_SECONDS).until(
            attempt,
            lambda missing: ClusterUnavailable(
                f"{missing} after {seconds:g} s: start the cluster and run provision, or correct "
                "--bootstrap-servers and --topic",
                topic=self._topic,
            ),
        )

    def subscribe(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def take(self, limit: int) -> list[Record]:
        """At most `limit` records of partitions that are owned now; an empty list after a short wait.

        Raises:
            MemberFenced: this member cannot go on.
        """
        # Asked for one at least, also when enough are held: to ask is what keeps the membership.
        room = max(1, limit - len(self._held))
        messages = self._consumer.consume(room, 0 if self._held else TAKE_SECONDS)
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_error(error)
            # The callbacks of a rebalance run inside consume(), after it may have gathered records of a partition
            # that is now somebody else's: the new owner reads them, so they are dropped here.
            elif message.partition() in self._owned:
                self._held.append(_record(message))
        if self._fatal is not None:
            raise _fenced(self._fatal)
        taken, self._held = self._held[:limit], self._held[limit:]
        return taken

    def put_back(self, records: Sequence[Record]) -> None:
        """Records of the last `take` that were not read: the next one gives those that are still ours."""
        self._held[:0] = records

    def done(self, progress: Mapping[int, int]) -> None:
        """Records have taken effect: partition to the offset after the last of them."""
        self._done |= progress

    def commit(self, only: Iterable[int] | None = None) -> None:
        """Commit what is done, synchronously; offsets that are not accepted now stay for the next time.

        Raises:
            CommitRefused: the cluster does not accept the group's commits at all.
            MemberFenced: another process has this member's identity.
        """
        chosen = self._done if only is None else {p: self._done[p] for p in only if p in self._done}
        # Without brokers the commit would wait for its timeout at every turn, and at the end past SIGTERM's limit.
        # A commit that still hangs must not land after a newer one, so there is never more than one.
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
                f"the cluster refuses the offsets of {self._topic} partitions {partitions}: {text}; see the group's "
                "rights and its other members, then start again"
            )
        log.warning(RETRIES[result], partitions=partitions, why=text)

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # With cooperative rebalancing and KIP-848 these are the new ones, added to those that stay.
        self._owned |= {item.partition for item in partitions}
        self._note("assigned", partitions)
        self._reached_membership()

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # Still ours inside the callback: the commit is valid until it returns.
        numbers = [item.partition for item in partitions]
        try:
            self.commit(only=numbers)
        except (CommitRefused, MemberFenced) as error:
            # Raised here it would only end the callback; the next commit says it to the loop.
            log_error(error)
        self._drop(numbers)
        self._note("revoked", partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # Others may own them already: a commit now could take back theirs.
        self._drop(item.partition for item in partitions)
        self._note("lost", partitions)
        self.joined = False
        self._health.lost(MEMBERSHIP, "partitions were lost, joining again")

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
            partitions=sorted(item.partition for item in partitions),
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
            log.debug("broker connection", error=error.str())
        else:
            log.warning("the Kafka client reports", error=error.str(), code=error.name())

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
            log.warning("no broker answers, trying on", error=self._last_error)
        elif now - self._no_broker_since >= BROKER_LOSS_SECONDS:
            self._health.lost(BROKERS, f"no broker has answered for {now - self._no_broker_since:.0f} s")

    def _brokers_answer(self) -> None:
        if self._no_broker_since is not None:
            self._no_broker_since = None
            log.info("brokers answer again")
        self._health.reached(BROKERS)


def _fenced(why: str) -> MemberFenced:
    return MemberFenced(
        f"this member of the group cannot go on: {why}; if another process runs with the same group.instance.id, "
        "stop one of them or give it another --state-dir"
    )


def _record(message: Any) -> Record:  # noqa: ANN401 - the client ships no types
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )
