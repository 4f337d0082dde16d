"""Translates the errors of Quix and librdkafka into errors that tell an operator what to do."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from quixstreams.checkpointing.exceptions import CheckpointProducerTimeout
from quixstreams.exceptions import PartitionAssignmentError
from quixstreams.internal_producer import KafkaProducerTransactionCommitFailed
from quixstreams.kafka.exceptions import BaseKafkaException, KafkaBrokerUnavailableError, KafkaConsumerException
from quixstreams.models.topics.exceptions import (
    TopicConfigurationMismatch,
    TopicNotFoundError,
    TopicPartitionsMismatch,
    TopicPermissionError,
)
from quixstreams.state.exceptions import InvalidStoreChangelogOffset, StateRecoveryOffsetOutOfRange

from newsroom.access import Right
from newsroom.errors import ClusterUnavailable, LastingFailure, NewsroomError, ReplicaFenced, StateLost, TopicMismatch
from newsroom.kafka_errors import FENCED, LASTING, REBALANCING, kafka_error, reason_of
from newsroom.logs import get_logger
from newsroom.topic_watch import REMEDY
from newsroom.waiting import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsroom.access import Access
    from newsroom.streams.changelog import Changelog

log = get_logger(__name__)

TOPIC_ERRORS = (TopicNotFoundError, TopicConfigurationMismatch, TopicPartitionsMismatch, TopicPermissionError)

QUIX_ERRORS = (
    KafkaException,
    BaseKafkaException,
    KafkaBrokerUnavailableError,
    KafkaProducerTransactionCommitFailed,
    CheckpointProducerTimeout,
    PartitionAssignmentError,
    InvalidStoreChangelogOffset,
    StateRecoveryOffsetOutOfRange,
    *TOPIC_ERRORS,
)


@contextmanager
def translated_errors(explain: Callable[[BaseException], BaseException]) -> Iterator[None]:
    """Translate the errors of Quix and librdkafka with `explain`, which is mainly `translation`.

    An error that says nothing about the cluster (a bug) passes unchanged.

    Raises:
        ReplicaFenced: the cluster or the group continued without this replica.
        ClusterUnavailable: the brokers were unreachable for two minutes, or did not accept a commit.
        LastingFailure: a right is missing, or another cause that waiting does not change.
        StateLost: input records were deleted before they were read, or the state does not match its changelog.
        TopicMismatch: a topic does not exist, or is not as declared.
        NewsroomError: the service itself raised it.
    """
    try:
        yield
    except QUIX_ERRORS as error:
        raise explain(error) from error


def translation(error: BaseException, changelog: Changelog, folder: Path, access: Access) -> BaseException:
    """The error that tells an operator what to do; one that says nothing about the cluster is returned unchanged.

    `folder` holds the state, `access` names the rights.
    """
    if isinstance(error, PartitionAssignmentError) and error.__cause__ is not None:
        cause = error.__cause__  # the error of a rebalance callback
        known = isinstance(cause, (NewsroomError, Stopped, *QUIX_ERRORS))
        return translation(cause, changelog, folder, access) if known else error
    if isinstance(error, (NewsroomError, Stopped)):
        return error
    if isinstance(error, InvalidStoreChangelogOffset):
        return StateLost(
            f"the state in {folder} is ahead of its changelog {changelog.topic}, which has lost records: delete the "
            "folder and start the service again; it restores the state from the changelog"
        )
    if isinstance(error, StateRecoveryOffsetOutOfRange):
        return StateLost(_unread(error, changelog.group))
    if isinstance(error, TOPIC_ERRORS):
        return _of_topics(error, access)
    return _of_the_cluster(error, access)


def interruption(error: BaseException) -> str | None:
    """The reason of an error after which a replica can continue from its last commit; None for another error."""
    if isinstance(error, PartitionAssignmentError):
        return interruption(error.__cause__) if error.__cause__ is not None else None
    if isinstance(error, (ReplicaFenced, ClusterUnavailable)):
        return str(error)
    if isinstance(error, KafkaException):
        return None if kafka_error(error).code() in LASTING else reason_of(error)
    if isinstance(error, BaseKafkaException):
        # A consumer with a fatal error cannot continue, but a producer is replaced.
        dead = isinstance(error, KafkaConsumerException) and error.error.fatal()
        return None if dead or error.code in LASTING else str(error.description)
    if isinstance(error, (KafkaProducerTransactionCommitFailed, CheckpointProducerTimeout)):
        return str(error)
    return None


def _inner(error: BaseException) -> KafkaError | None:
    if isinstance(error, KafkaException):
        return kafka_error(error)
    return error.error if isinstance(error, BaseKafkaException) else None


def _unread(error: StateRecoveryOffsetOutOfRange, group: str) -> str:
    # Quix's text continues with its own settings and with a new group, which would count records twice.
    problem, *_ = str(error).split(". ")
    match = re.search(r"topic (\S+)\[(\d+)\]", problem)
    place = f"{match[1]}:{match[2]}" if match else "TOPIC:PARTITION"
    return (
        f"{problem.removesuffix('.')}: records were deleted before group {group} read them, so its results would lack "
        "them; to continue without them, stop all replicas and run kafka-consumer-groups --reset-offsets --to-earliest "
        f"--execute --group {group} --topic {place}"
    )


def _of_topics(error: BaseException, access: Access) -> NewsroomError:
    if isinstance(error, TopicPermissionError):
        names = re.findall(r'"([^"]+)"', str(error).partition(";")[0])
        return access.denied(Right("DESCRIBE_CONFIGS", "topic", name) for name in names)
    remedy = "Run 'provision' first" if isinstance(error, TopicNotFoundError) else REMEDY
    return TopicMismatch(f"{error}. {remedy}")


def _of_the_cluster(error: BaseException, access: Access) -> NewsroomError:
    inner = _inner(error)
    lasting = None if inner is None else access.failure(inner)
    if lasting is not None:
        return lasting
    if inner is not None and (inner.fatal() or inner.txn_requires_abort() or inner.code() in FENCED | REBALANCING):
        return ReplicaFenced(
            f"the cluster aborted this replica's transaction ({reason_of(error)}): nothing of it was committed; start "
            "the service again"
        )
    return ClusterUnavailable(
        f"the cluster did not accept or deliver records ({inner.str() if inner else error}): nothing was committed "
        "after the last checkpoint; start the service again when the brokers answer"
    )


def leave_to_caller(error: Exception, record: Any, _: object) -> bool:  # noqa: ANN401 - Quix's row or message
    """Log the record that the service stops at, if it does stop at one; `translated_errors` explains why.

    Quix's default handler prints a stack trace instead.
    """
    if record is not None and interruption(error) is None and not isinstance(error, (LastingFailure, Stopped)):
        place = {name: _value(record, name) for name in ("topic", "partition", "offset")}
        log.error("the service stops at this record", **place, error=type(error).__name__)
    return False


def _value(record: Any, name: str) -> object:  # noqa: ANN401 - Quix's rows have attributes, messages have methods
    value = getattr(record, name)
    return value() if callable(value) else value
