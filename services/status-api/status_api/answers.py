"""Waits for one answer of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from newsroom.errors import ClusterUnavailable
from newsroom.kafka_errors import reason_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from newsroom.waiting import Deadline
    from status_api.model import Reason

Answer = tuple[Any, "Reason | None"]
"""A result, or None and the reason."""


def answer(future: Future[Any], deadline: Deadline) -> Answer:
    """Wait for one answer of the cluster, at most until the deadline."""
    try:
        return future.result(timeout=deadline.left()), None
    except (KafkaException, ClusterUnavailable) as error:
        return None, reason_of(error)
    except TimeoutError:
        return None, f"no answer within {deadline.seconds:g} s"
