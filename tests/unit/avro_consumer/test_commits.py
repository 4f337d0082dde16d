"""What the errors of a commit mean for the member, and which offsets the next commit has."""

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError

from avro_consumer import commits
from avro_consumer.commits import CommitResult, Committer, classify
from avro_consumer.errors import CommitRefused, MemberFenced
from newsroom.access import Access, Right
from newsroom.errors import LastingFailure, TopicMismatch
from support.waiting import wait_for
from unit.avro_consumer.fakes import CommittingClient

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


def committer_of(client: CommittingClient) -> Committer:
    access = Access({"bootstrap.servers": "b:9092"}, Right("READ", "topic", "news"), Right("READ", "group", "g"))
    return Committer(cast("Consumer", client), "news", access)


@pytest.mark.parametrize("code", [KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH, KafkaError._WAIT_COORD])
def test_an_offset_that_is_not_accepted_now_is_committed_with_the_next(code: int) -> None:
    client = CommittingClient(code)
    committer = committer_of(client)
    committer.note({0: 10})
    committer.commit()
    client.code = None
    committer.note({1: 5})
    committer.commit()
    committer.commit()  # nothing is left
    assert client.commits == [{0: 10}, {0: 10, 1: 5}]


def test_a_commit_that_hangs_does_not_hold_up_the_loop_and_no_other_passes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.05)
    client = CommittingClient()
    client.answers.clear()
    committer = committer_of(client)
    committer.note({0: 10})
    committer.commit()
    assert committer.hangs
    committer.note({0: 20})
    committer.commit()
    client.answers.set()
    wait_for("the first commit ends", lambda: not committer.hangs)
    assert client.commits == [{0: 10}]
    committer.commit()
    assert client.commits == [{0: 10}, {0: 20}]


@pytest.mark.parametrize(
    ("code", "error", "sentence"),
    [
        (
            KafkaError.OFFSET_METADATA_TOO_LARGE,
            CommitRefused,
            r"refuses the offsets of news partitions \[3\].*start again",
        ),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, LastingFailure, r"may not READ group g at b:9092 .*add an ACL"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMismatch, r"topic news was deleted while this consumer .*provision"),
        (KafkaError.FENCED_INSTANCE_ID, MemberFenced, r"cannot continue: .*--state-dir"),
    ],
)
def test_a_lasting_error_is_a_sentence(code: int, error: type[Exception], sentence: str) -> None:
    committer = committer_of(CommittingClient(code))
    committer.note({3: 10})
    with pytest.raises(error, match=sentence):
        committer.commit()
