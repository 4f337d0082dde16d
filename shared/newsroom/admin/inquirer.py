"""Requests to a cluster through kafka-python, where librdkafka has no such request or crashes on it.

No other module of `newsroom` connects with kafka-python, and only images that contain it import this one.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from kafka import KafkaAdminClient, errors
from kafka.net.compat import KafkaNetClient

from newsroom.access import Access, Right
from newsroom.admin.tokens import Tokens
from newsroom.background import in_background
from newsroom.errors import ClusterUnavailable
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from newsroom.settings import KafkaSettings

T = TypeVar("T")

CLIENT_ID = "newsroom-inquiry"
STEP_SHARE = 0.45
"""The share of a question's time for each connection and each request. If a broker hangs, time is left for another."""
MILLISECONDS = 1000

RECONNECT_MAX_MS = 400
"""A question that is asked each second tries a lost broker each time: with its jitter the pause is below 0.5 s."""

DESCRIBE_CLUSTER = Right("DESCRIBE", "cluster", "")
"""What most questions need."""

KAFKA_PYTHON_NAMES = {
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
"""The names that differ from librdkafka's by more than their dots."""


class Inquirer(Generic[T]):
    """Asks one cluster one kind of question, which needs one right, and keeps the connection between questions.

    A question runs in the background: kafka-python's calls have no deadline, and block while it resolves a name.
    """

    failure: ClassVar[str]
    """What the cluster did not do when a question fails, as a clause: "named no controller"."""
    request_seconds: ClassVar[float | None] = None
    """How long a broker may take to answer one request; None is a share of the question's time."""

    def __init__(self, settings: KafkaSettings, timeout_seconds: float, right: Right = DESCRIBE_CLUSTER) -> None:
        # kafka-python warns of each refused connection. Callers get the failure from the future.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self._settings = settings
        self._access = Access(settings.client_config(CLIENT_ID))
        self._timeout = timeout_seconds
        self._right = right
        self._step = timeout_seconds * STEP_SHARE
        self._client: KafkaAdminClient | None = None
        self._network: KafkaNetClient | None = None
        self._answer: Future[T] | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up a question that is running, and close the connection."""
        self._closed.set()
        self._drop()  # ends a running question
        if self._answer is not None:
            wait([self._answer], self._timeout)

    def failed(self, error: Exception) -> ClusterUnavailable:
        """The error of a question that `error` ended, or that has not been answered in time."""
        denied = isinstance(error, errors.AuthorizationError) and self._access.denied([self._right])
        why = denied or reason(error, self._timeout)
        return ClusterUnavailable(f"{self._settings.bootstrap_servers} {self.failure}: {why}")

    def _ask(self, question: Callable[[Deadline], T]) -> Future[T]:
        """Start a question and return its future answer; if one is running, return that one's."""
        if self._answer is None or self._answer.done():
            self._answer = in_background(partial(self._result, question))
        return self._answer

    def _result(self, question: Callable[[Deadline], T]) -> T:
        try:
            return question(Deadline(self._timeout))
        except Exception as error:
            self._drop()
            raise self.failed(error) from error

    def _connected(self) -> KafkaAdminClient:
        if self._client is None:
            self._drop()  # what a failed attempt to connect left
            self._client = KafkaAdminClient(
                kafka_client=self._network_client,
                bootstrap_timeout_ms=round(self._step * MILLISECONDS),
                **client_config(self._settings),
            )
            if self._closed.is_set():
                raise ClusterUnavailable("the connection was closed")
        return self._client

    def _network_client(self, **config: Any) -> KafkaNetClient:  # noqa: ANN401 - kafka-python is untyped
        # The admin client does not close its thread and sockets when its constructor fails, so keep them. It also does
        # not set the limits of the connection, which are 10 to 30 s by default.
        limits = dict.fromkeys(
            ("socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms"),
            round(self._step * MILLISECONDS),
        )
        limits["request_timeout_ms"] = round((self.request_seconds or self._step) * MILLISECONDS)
        self._network = KafkaNetClient(**config | limits | {"reconnect_backoff_max_ms": RECONNECT_MAX_MS})
        return self._network

    def _drop(self) -> None:
        client, network = self._client, self._network
        self._client = self._network = None
        if client is not None:
            client.close()
        elif network is not None:
            network.close()


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """The parameters of a librdkafka client under kafka-python's names."""
    config = settings.client_config(CLIENT_ID)
    for name in settings.properties():
        config.pop(name, None)  # it is librdkafka's
    if settings.sasl_mechanism == "OAUTHBEARER":
        config = {name: value for name, value in config.items() if not name.startswith("sasl.oauthbearer.")}
        config["sasl.oauth.token.provider"] = Tokens(settings)
    return {KAFKA_PYTHON_NAMES.get(name, name.replace(".", "_")): value for name, value in config.items()}


def reason(error: Exception, seconds: float) -> str:
    """The clause that says why a question had no answer within so many seconds."""
    if isinstance(error, (TimeoutError, errors.KafkaTimeoutError, errors.RequestTimedOutError)):
        return f"no answer within {seconds:.2g} s"
    if isinstance(error, (errors.KafkaConnectionError, errors.NodeNotReadyError)):
        return f"no connection ({error})"
    return str(error) or type(error).__name__
