"""What the errors of a commit mean for the member."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from avro_consumer.commits import CommitResult, classify

RETRIABLE = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown", retriable=True)


def errors(*codes: int) -> dict[int, KafkaError]:
    return {partition: KafkaError(code) for partition, code in enumerate(codes)}


def test_a_commit_without_errors_is_ok() -> None:
    assert classify({}) is CommitResult.OK


@pytest.mark.parametrize(
    ("codes", "result"),
    [
        ([KafkaError.ILLEGAL_GENERATION], CommitResult.REBALANCED),
        ([KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH], CommitResult.REBALANCED),
        ([KafkaError._TIMED_OUT], CommitResult.UNREACHABLE),
        ([KafkaError.ILLEGAL_GENERATION, KafkaError._WAIT_COORD], CommitResult.UNREACHABLE),
        ([KafkaError.FENCED_INSTANCE_ID], CommitResult.FENCED),
        ([KafkaError.FENCED_INSTANCE_ID, KafkaError.GROUP_AUTHORIZATION_FAILED], CommitResult.FENCED),
        ([KafkaError.FENCED_INSTANCE_ID, KafkaError._TIMED_OUT], CommitResult.FENCED),
        ([KafkaError.GROUP_AUTHORIZATION_FAILED], CommitResult.REFUSED),
        ([KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._TIMED_OUT], CommitResult.REFUSED),
    ],
)
def test_the_errors_of_all_partitions_decide(codes: list[int], result: CommitResult) -> None:
    assert classify(errors(*codes)) is result


def test_an_error_that_a_retry_may_cure_is_unreachable_only_when_every_error_is_such() -> None:
    assert classify({0: RETRIABLE, 1: RETRIABLE}) is CommitResult.UNREACHABLE
    assert classify({0: RETRIABLE} | {1: KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)}) is CommitResult.REFUSED
