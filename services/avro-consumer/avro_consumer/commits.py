"""Commits the offsets of processed records, and judges the cluster's answer."""

from __future__ import annotations

from concurrent.futures import wait
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from avro_consumer import metrics
from avro_consumer.errors import CommitRefused, MemberFenced
from newsroom.background import in_background
from newsroom.errors import TopicMismatch
from newsroom.kafka_errors import FENCED, REBALANCING, UNREACHABLE, kafka_error
from newsroom.logs import get_logger
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Future

    from newsroom.access import Access

log = get_logger(__name__)

COMMIT_SECONDS = 3.0
"""librdkafka retries a synchronous commit while brokers hang (30 s and more in tests) and runs no callback meanwhile.
One commit and the close together stay below SIGTERM's ten seconds."""


class CommitResult(Enum):
    """What a commit's errors mean for the member. The value is the metric's label."""

    OK = "ok"
    """The cluster accepted every offset."""
    REBALANCED = "rebalanced"
    """The group rebalances: the new owner of a partition reads its records again."""
    UNREACHABLE = "unreachable"
    """The cluster cannot accept the offsets now: the next commit includes them."""
    FENCED = "fenced"
    """Another process took the member's identity."""
    REFUSED = "refused"
    """The cluster refuses the offsets, and a retry does not change that."""


RETRIES = {
    CommitResult.REBALANCED: "the cluster refused the commit during a rebalance; the new owner reads the records again",
    CommitResult.UNREACHABLE: "the cluster did not accept the commit; the next commit includes these offsets",
}
"""The log line for a failed commit after which the member continues."""


def classify(errors: Mapping[int, KafkaError]) -> CommitResult:
    """Judge a commit by the errors of its partitions; a partition without an error is not in the mapping."""
    codes = {error.code() for error in errors.values()}
    if not codes:
        return CommitResult.OK
    if codes <= REBALANCING:
        return CommitResult.REBALANCED
    if codes <= REBALANCING | UNREACHABLE or all(error.retriable() for error in errors.values()):
        return CommitResult.UNREACHABLE
    return CommitResult.FENCED if codes & FENCED else CommitResult.REFUSED


class Committer:
    """Keeps the next offset of each partition until the cluster has accepted it.

    One commit runs at a time, so that an old one cannot overwrite a newer one.
    """

    def __init__(self, client: Consumer, topic: str, access: Access) -> None:
        self._client = client
        self._topic = topic
        self._access = access
        self._offsets: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        """The offsets of the commit whose answer was not looked at yet."""
        self._limit = Deadline(0)
        self._call: Future[list[TopicPartition]] | None = None
        self.unreachable = False
        """Whether the last commit found no broker that could accept it."""

    @property
    def hangs(self) -> bool:
        """Whether the last commit runs still."""
        return self._call is not None and not self._call.done()

    @property
    def uncommitted(self) -> frozenset[int]:
        """The partitions with an offset that the cluster has not accepted."""
        return frozenset(self._offsets)

    def note(self, offsets: Mapping[int, int]) -> None:
        """Note what to commit: partition to the offset after its last processed record."""
        self._offsets |= offsets

    def forget(self, partition: int) -> None:
        """Drop the offset of a partition that has another owner."""
        self._offsets.pop(partition, None)

    def forget_all(self) -> None:
        """Drop all offsets: they are of another topic."""
        self._offsets.clear()

    def begin(self, only: Iterable[int] | None = None) -> None:
        """Send the noted offsets, unless a commit runs; `settle` waits for the answer."""
        chosen = dict(self._offsets) if only is None else {p: self._offsets[p] for p in only if p in self._offsets}
        if not chosen or self._sent or self.hangs:
            return
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in chosen.items()]
        self._sent, self._limit = chosen, Deadline(COMMIT_SECONDS)
        self._call = in_background(partial(self._client.commit, offsets=offsets, asynchronous=False))

    def settle(self) -> bool:
        """Wait for the answer; return whether there was a commit and the cluster accepted all of it.

        The next commit includes the offsets that were not accepted.

        Raises:
            CommitRefused: the cluster refuses the group's offsets.
            LastingFailure: the user lacks a right.
            MemberFenced: another process has this member's identity.
            TopicMismatch: the topic was deleted.
        """
        if not self._sent:
            return False
        errors = self._errors()
        sent, self._sent = self._sent, {}
        for partition, offset in sent.items():
            if partition not in errors and self._offsets.get(partition) == offset:
                del self._offsets[partition]
        self.unreachable = any(error.code() in UNREACHABLE for error in errors.values())
        self._act(classify(errors), errors)
        return not errors

    def commit(self, only: Iterable[int] | None = None) -> None:
        """Commit the noted offsets and wait for the answer.

        Raises:
            NewsroomError: as `settle`, for this commit or one that was begun before.
        """
        self.settle()
        self.begin(only)
        self.settle()

    def wait(self) -> None:
        """Wait until the commit has ended, without a look at its answer."""
        if self._call is not None:
            wait([self._call], self._limit.left())

    def _errors(self) -> dict[int, KafkaError]:
        """Wait for the answer and return the errors of the partitions that have one."""
        assert self._call is not None
        try:
            answers = self._call.result(self._limit.left())
        except KafkaException as error:
            return dict.fromkeys(self._sent, kafka_error(error))
        except TimeoutError:
            late = KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001 - librdkafka's own codes begin so
            return dict.fromkeys(self._sent, late)
        return {answer.partition: answer.error for answer in answers if answer.error is not None}

    def _act(self, result: CommitResult, errors: Mapping[int, KafkaError]) -> None:
        metrics.COMMITS.labels(result.value).inc()
        if result is CommitResult.OK:
            return
        reason = next(iter(errors.values())).str()
        partitions = sorted(errors)
        if result is CommitResult.FENCED:
            raise MemberFenced(reason)
        if result is CommitResult.REFUSED:
            if any(error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART for error in errors.values()):
                self.forget_all()
                raise TopicMismatch(
                    f"topic {self._topic} was deleted while this consumer read it: run 'provision', which makes it "
                    "anew, and start again",
                    topic=self._topic,
                )
            for error in errors.values():
                self._access.raise_lasting(error)
            raise CommitRefused(
                f"the cluster refuses the offsets of {self._topic} partitions {partitions}: {reason}; check the "
                "group's permissions and its other members, then start again"
            )
        log.warning(RETRIES[result], partitions=partitions, why=reason)
