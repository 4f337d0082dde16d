"""What Kafka's error codes mean for a client. Codes that begin with an underscore are librdkafka's own."""

from __future__ import annotations

from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

T = TypeVar("T")

REBALANCING = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
    }
)
"""The group continued without this member. The new owners read again what the member did not commit."""

UNREACHABLE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""No broker can answer now, or the right broker is changing. librdkafka does not call all of these retriable."""

FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError._FATAL,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    }
)
"""Another process has this client's identity, or the client can no longer be used."""

LASTING = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_CONFIG,
    }
)
"""A retry does not help: somebody must change a permission, a policy or a setting. `newsroom.access` says which."""


def kafka_error(exception: KafkaException) -> KafkaError:
    """The error inside the client's exception."""
    error: KafkaError = exception.args[0]
    return error


def reason_of(exception: BaseException) -> str:
    """The clause that says what failed: the broker's or the client's own text without its wrapping."""
    inner = exception.args[0] if isinstance(exception, KafkaException) and exception.args else exception
    return str(inner.str()) if isinstance(inner, KafkaError) else str(inner) or type(inner).__name__


def is_unreachable(error: KafkaError) -> bool:
    """Whether the same request may succeed later."""
    return bool(error.retriable()) or error.code() in UNREACHABLE


def raise_errors(partitions: list[T]) -> list[T]:
    """Raise the error of the first partition that has one; return the partitions if none has.

    Raises:
        KafkaException: a partition has an error.
    """
    for partition in partitions:
        if (error := getattr(partition, "error", None)) is not None:
            raise KafkaException(error)
    return partitions
