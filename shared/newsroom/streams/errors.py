"""What Quix and librdkafka raise, as errors with a sentence.

Besides `newsroom.streams` the only module of `newsroom` that imports quixstreams.
"""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from newsroom.errors import ClusterUnavailable, NewsroomError, ReplicaFenced, StateLost, TopicMismatch
from newsroom.kafka_errors import FENCED, REBALANCING, kafka_error, reason_of
from newsroom.waiting import Stopped

with warnings.catch_warnings(record=True):
    # As in newsroom.schemas.registry: a library below announces a rename that no reader of our logs can act on.
    from quixstreams.checkpointing.exceptions import CheckpointConsumerCommitError, CheckpointProducerTimeout
    from quixstreams.exceptions import PartitionAssignmentError
    from quixstreams.internal_producer import KafkaProducerTransactionCommitFailed
    from quixstreams.kafka.exceptions import (
        KafkaBrokerUnavailableError,
        KafkaConsumerException,
        KafkaProducerDeliveryError,
    )
    from quixstreams.models.topics.exceptions import (
        TopicConfigurationMismatch,
        TopicNotFoundError,
        TopicPartitionsMismatch,
    )
    from quixstreams.state.exceptions import InvalidStoreChangelogOffset, StateRecoveryOffsetOutOfRange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from newsroom.streams.changelog import Changelog

QUIX_ERRORS = (
    KafkaException,
    KafkaBrokerUnavailableError,
    KafkaConsumerException,
    KafkaProducerDeliveryError,
    KafkaProducerTransactionCommitFailed,
    CheckpointConsumerCommitError,
    CheckpointProducerTimeout,
    PartitionAssignmentError,
    InvalidStoreChangelogOffset,
    StateRecoveryOffsetOutOfRange,
    TopicConfigurationMismatch,
    TopicPartitionsMismatch,
)


@contextmanager
def translated_errors(changelog: Changelog, folder: Path) -> Iterator[None]:
    """Turn what Quix and librdkafka raise into errors with a sentence; the state is in `folder`.

    A library error that says nothing about the cluster (a bug) goes through as it is.

    Raises:
        ReplicaFenced: the cluster or the group went on without this replica.
        ClusterUnavailable: the brokers are gone for two minutes, or did not take a commit.
        StateLost: the input that the state was built from is gone, or the state is not that of its changelog.
        TopicMismatch: a topic is not as it must be.
        NewsroomError: whatever the service itself raised.
    """
    try:
        yield
    except (NewsroomError, TopicNotFoundError, *QUIX_ERRORS) as error:
        raise _translate(error, changelog, folder) from error


def _translate(error: BaseException, changelog: Changelog, folder: Path) -> BaseException:
    if isinstance(error, PartitionAssignmentError) and error.__cause__ is not None:
        cause = error.__cause__
        known = isinstance(cause, (NewsroomError, Stopped, *QUIX_ERRORS))
        return _translate(cause, changelog, folder) if known else error
    if isinstance(error, (NewsroomError, Stopped)):
        return error
    if isinstance(error, InvalidStoreChangelogOffset):
        return StateLost(
            f"the state in {folder} is ahead of its changelog {changelog.topic}, which has lost records: delete the "
            "folder and start the service again; it is restored from the changelog"
        )
    if isinstance(error, StateRecoveryOffsetOutOfRange):
        return StateLost(_unread(error, changelog.group))
    if isinstance(error, (TopicNotFoundError, TopicConfigurationMismatch, TopicPartitionsMismatch)):
        return TopicMismatch(f"{error}: run 'provision' first; partitions of a counted topic must not change")
    return _of_the_cluster(error)


def _unread(error: StateRecoveryOffsetOutOfRange, group: str) -> str:
    # Quix's own text goes on with advice for its own settings, and for a new group, which would count twice.
    what, *_ = str(error).split(". ")
    found = re.search(r"topic (\S+)\[(\d+)\]", what)
    where = f"{found[1]}:{found[2]}" if found else "TOPIC:PARTITION"
    return (
        f"{what.removesuffix('.')}: records were deleted before group {group} read them, and its results would miss "
        "them; to go on without them, stop all replicas and run kafka-consumer-groups --reset-offsets --to-earliest "
        f"--execute --group {group} --topic {where}"
    )


def _of_the_cluster(error: BaseException) -> NewsroomError:
    inner = kafka_error(error) if isinstance(error, KafkaException) else None
    if inner is not None and (inner.fatal() or inner.txn_requires_abort() or inner.code() in FENCED | REBALANCING):
        return ReplicaFenced(
            f"the cluster ended this replica's transaction ({reason_of(error)}): nothing of it was committed, start it "
            "again"
        )
    return ClusterUnavailable(
        f"the cluster did not take or give records ({reason_of(error)}): nothing was "
        "committed since the last checkpoint; start the service again when the brokers answer"
    )
