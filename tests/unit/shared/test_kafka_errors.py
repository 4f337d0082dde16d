"""What Kafka's error codes mean, and the clause that an error becomes."""

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from newsroom.kafka_errors import (
    FENCED,
    LASTING,
    REBALANCING,
    UNREACHABLE,
    is_unreachable,
    kafka_error,
    raise_errors,
    reason_of,
)


def test_no_code_means_two_things() -> None:
    meanings = [FENCED, LASTING, REBALANCING, UNREACHABLE]
    assert len(frozenset().union(*meanings)) == sum(map(len, meanings))


def test_a_reason_is_the_text_without_its_wrapping() -> None:
    error = KafkaError(KafkaError.NOT_COORDINATOR, "try kafka-2")
    assert reason_of(KafkaException(error)) == "try kafka-2"
    assert reason_of(TimeoutError()) == "TimeoutError"
    assert reason_of(ValueError("odd")) == "odd"
    assert kafka_error(KafkaException(error)).code() == KafkaError.NOT_COORDINATOR


def test_what_passes_is_told_from_what_stays() -> None:
    assert is_unreachable(KafkaError(KafkaError._TRANSPORT))
    assert not is_unreachable(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))


def test_the_first_partition_with_an_error_raises_it() -> None:
    raise_errors([TopicPartition("t", 0), TopicPartition("t", 1)])

    class Refused:
        error = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)

    with pytest.raises(KafkaException) as raised:
        raise_errors([TopicPartition("t", 0), Refused()])
    assert kafka_error(raised.value).code() == KafkaError.GROUP_AUTHORIZATION_FAILED
