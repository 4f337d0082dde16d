"""How long a request of an admin client may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

ASK_SECONDS = 5.0
"""The timeout of one request to the cluster. A stop request may wait as long."""

ANSWER_MARGIN_SECONDS = 0.5
"""librdkafka itself ends a request at its timeout. Its result gets this much longer to arrive."""


def answer(future: Future[T]) -> T:
    """The result of a request; librdkafka ends it at its timeout.

    Raises:
        KafkaException: the cluster refused it.
        TimeoutError: no answer came.
    """
    return future.result(timeout=ASK_SECONDS + ANSWER_MARGIN_SECONDS)
