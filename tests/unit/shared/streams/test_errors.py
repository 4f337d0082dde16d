"""What Quix and librdkafka raise, as sentences."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.error import KafkaError
from quixstreams.exceptions import PartitionAssignmentError
from quixstreams.kafka.exceptions import KafkaConsumerException
from quixstreams.models.topics.exceptions import TopicNotFoundError, TopicPermissionError
from quixstreams.state.exceptions import InvalidStoreChangelogOffset, StateRecoveryOffsetOutOfRange

from newsroom.access import Access, Right
from newsroom.errors import (
    ClusterUnavailable,
    DecodeError,
    LastingFailure,
    NewsroomError,
    ReplicaFenced,
    StateLost,
    TopicMismatch,
)
from newsroom.streams.changelog import Changelog
from newsroom.streams.errors import translated_errors, translation

CHANGELOG = Changelog("g", ("word-deltas",))
FOLDER = Path("/state/slot-0/id")
ACCESS = Access({"bootstrap.servers": "b:1", "sasl.username": "u"}, Right("WRITE", "transactional-id", "g-0"))
EXPLAIN = partial(translation, changelog=CHANGELOG, folder=FOLDER, access=ACCESS)
OUT_OF_RANGE = (
    "Consumer group offset 1 for topic word-deltas[3] is below the broker low watermark 2. State cannot be recovered. "
    "Start with a new consumer group."
)


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (lambda: KafkaException(KafkaError(KafkaError._FENCED)), ReplicaFenced),
        (lambda: KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION)), ReplicaFenced),
        (lambda: KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)), ClusterUnavailable),
        (lambda: StateRecoveryOffsetOutOfRange("offset 1 is below 2."), StateLost),
        (lambda: InvalidStoreChangelogOffset("call clear_state()"), StateLost),
        (lambda: TopicNotFoundError("news"), TopicMismatch),
        (lambda: _caused(PartitionAssignmentError("x"), StateRecoveryOffsetOutOfRange("offset 1.")), StateLost),
        (lambda: _caused(PartitionAssignmentError("x"), ReplicaFenced("gone")), ReplicaFenced),
        (lambda: DecodeError("as it is"), DecodeError),
    ],
)
def test_errors_become_sentences(raised: Callable[[], Exception], expected: type[NewsroomError]) -> None:
    with pytest.raises(expected), translated_errors(EXPLAIN):
        raise raised()


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (
            TopicPermissionError('Failed to access configs for topics "a", "b"; verify "DescribeConfigs"'),
            "may not DESCRIBE_CONFIGS topic a and DESCRIBE_CONFIGS topic b at b:1",
        ),
        (
            KafkaException(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "no", fatal=True)),
            r"user u may not WRITE transactional-id g-0 at b:1 \(no\): add an ACL that allows User:u WRITE",
        ),
        (KafkaConsumerException(KafkaError(KafkaError.POLICY_VIOLATION, "no")), r"refuses a request \(no\)"),
    ],
)
def test_a_denial_is_not_called_fencing_or_an_outage(raised: Exception, sentence: str) -> None:
    with pytest.raises(LastingFailure, match=sentence), translated_errors(EXPLAIN):
        raise raised


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), translated_errors(EXPLAIN):
        raise ZeroDivisionError


def test_a_state_ahead_of_its_changelog_names_the_folder_to_delete() -> None:
    ahead = pytest.raises(StateLost, match=r"the state in /state/slot-0/id is ahead .*: delete the folder")
    with ahead, translated_errors(EXPLAIN):
        raise InvalidStoreChangelogOffset("can be deleted by manually calling Application.clear_state()")


def test_records_deleted_unread_name_the_partition_to_reset_and_no_new_group() -> None:
    with pytest.raises(StateLost) as raised, translated_errors(EXPLAIN):
        raise StateRecoveryOffsetOutOfRange(OUT_OF_RANGE)
    assert str(raised.value).endswith("--reset-offsets --to-earliest --execute --group g --topic word-deltas:3")
    assert "new consumer group" not in str(raised.value)
