"""Questions to a cluster that librdkafka cannot ask, or not without crashing, through kafka-python.

The only module of `newsroom` that connects with kafka-python; images of services without it never import this one.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
)
from kafka.net.compat import KafkaNetClient

from newsroom.errors import ClusterUnavailable
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from newsroom.settings import KafkaSettings

T = TypeVar("T")

CLIENT_ID = "newsroom-inquiry"
STEP_SHARE = 0.45
"""Of a question's time, for each connection and each request: a broker that hangs leaves time to ask another one."""
MILLISECONDS = 1000


class Inquirer(ABC, Generic[T]):
    """Asks one cluster one kind of question and keeps the connection between questions.

    The work is done in a thread of its own: kafka-python's calls have no deadline of theirs, and block while a
    name is resolved.
    """

    def __init__(self, settings: KafkaSettings, timeout_seconds: float) -> None:
        # Its warnings about each connection that is refused are news for the page or the waiting probe, and reach
        # them as the answer.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self._settings = settings
        self._timeout = timeout_seconds
        self._step = timeout_seconds * STEP_SHARE
        self._client: KafkaAdminClient | None = None
        self._network: KafkaNetClient | None = None
        self._asked: Future[T] | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up a question under way and close the connection."""
        self._closed.set()
        # Ends the question's thread, unless it is just about to connect: then its end leaves something to drop.
        self._drop()
        if self._thread is not None:
            self._thread.join(self._timeout)
        self._drop()

    @abstractmethod
    def _failure(self, reason: str) -> str:
        """The sentence about a question that was not answered for this reason."""

    def _ask(self, question: Callable[[Deadline], T]) -> Future[T]:
        """The answer to come, or a `ClusterUnavailable`; while a question is under way, its answer."""
        if self._asked is None or self._asked.done():
            self._asked = Future()
            name = type(self).__name__
            self._thread = threading.Thread(target=self._answer, args=(question, self._asked), name=name, daemon=True)
            self._thread.start()
        return self._asked

    def _answer(self, question: Callable[[Deadline], T], future: Future[T]) -> None:
        try:
            future.set_result(question(Deadline(self._timeout)))
        except Exception as error:  # noqa: BLE001 - whatever the library raises must reach who waits, as one sentence
            self._drop()
            failure = ClusterUnavailable(self._failure(reason(error, self._timeout)))
            failure.__cause__ = error
            future.set_exception(failure)

    def _connected(self) -> KafkaAdminClient:
        if self._client is None:
            self._drop()
            self._client = KafkaAdminClient(
                kafka_client=self._network_client,
                bootstrap_timeout_ms=round(self._step * MILLISECONDS),
                **client_config(self._settings),
            )
        return self._client

    def _network_client(self, **config: Any) -> KafkaNetClient:  # noqa: ANN401 - kafka-python is untyped
        # Kept because the admin client leaves its thread and sockets behind when its constructor fails, and made
        # here because it does not know the connection's limits, which are 10 to 30 s by default.
        limits = dict.fromkeys(
            ("request_timeout_ms", "socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms"),
            round(self._step * MILLISECONDS),
        )
        self._network = KafkaNetClient(**config | limits)
        return self._network

    def _drop(self) -> None:
        client, network = self._client, self._network
        self._client = self._network = None
        if client is not None:
            client.close()
        elif network is not None:
            network.close()


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """The settings as parameters of a kafka-python client."""
    config: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "security_protocol": settings.security_protocol,
        "client_id": CLIENT_ID,
        "reconnect_backoff_max_ms": 1000,
    }
    if settings.sasl_mechanism and settings.sasl_username and settings.sasl_password:
        config |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    if settings.ssl_ca_location:
        config["ssl_cafile"] = str(settings.ssl_ca_location)
    return config


def reason(error: Exception, seconds: float) -> str:
    """The clause that says why a question was not answered within so many seconds."""
    known = {
        (AuthorizationError,): "the cluster does not let this user describe it (the ACL is DESCRIBE on the cluster)",
        (TimeoutError, KafkaTimeoutError, RequestTimedOutError): f"no answer within {seconds:.2g} s",
        (KafkaConnectionError, NodeNotReadyError): f"no connection ({error})",
    }
    fits = (text for kinds, text in known.items() if isinstance(error, kinds))
    return next(fits, str(error) or type(error).__name__)
