"""Who leads the cluster: the leader of KRaft's metadata quorum, which is what Kafka calls the active controller.

librdkafka's `describe_cluster` names any living broker as the controller of a KRaft cluster, and cannot ask the
quorum. kafka-python can. The only module of `newsroom` that imports it; images of services without it never
import this one.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
    UnsupportedVersionError,
)
from kafka.net.compat import KafkaNetClient

from newsroom.errors import ClusterUnavailable
from newsroom.lifecycle import Deadline

if TYPE_CHECKING:
    from types import TracebackType

    from newsroom.settings import KafkaSettings

CLIENT_ID = "newsroom-quorum"
PAUSE_SECONDS = 0.05
"""Between two attempts within one question: the time kafka-python leaves a broker alone that refused it."""
STEP_SHARE = 0.45
"""Of a question's time, for each connection and each request: a broker that hangs leaves time to ask another one."""
NO_LEADER = -1
MILLISECONDS = 1000


@dataclass(frozen=True)
class Quorum:
    """The metadata quorum as its leader describes it. The epoch grows by at least one with every election."""

    leader_id: int
    epoch: int


class QuorumReader:
    """Asks one cluster for its quorum and keeps the connection between questions; a new one follows a failure.

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
        self._asked: Future[Quorum] | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self) -> Future[Quorum]:
        """The answer to come: a `Quorum` or a `ClusterUnavailable`. One question is under way at a time."""
        if self._asked is None or self._asked.done():
            self._asked = Future()
            self._thread = threading.Thread(target=self._answer, args=(self._asked,), name="quorum", daemon=True)
            self._thread.start()
        return self._asked

    def close(self) -> None:
        """Give up a question under way and close the connection."""
        self._closed.set()
        # Ends the question's thread, unless it is just about to connect: then its end leaves something to drop.
        self._drop()
        if self._thread is not None:
            self._thread.join(self._timeout)
        self._drop()

    def _answer(self, future: Future[Quorum]) -> None:
        try:
            future.set_result(self._describe(Deadline(self._timeout)))
        except Exception as error:  # noqa: BLE001 - whatever the library raises must reach who waits, as one sentence
            self._drop()
            failure = unavailable(self._settings, error, self._timeout)
            failure.__cause__ = error
            future.set_exception(failure)

    def _describe(self, deadline: Deadline) -> Quorum:
        while True:
            try:
                return _quorum(self._connected().describe_metadata_quorum())
            except KafkaError as error:
                # The broker that was asked may have died just now: the others are asked within the same question.
                if not error.retriable or deadline.left() < self._step or self._closed.wait(PAUSE_SECONDS):
                    raise

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


def describe_quorum(settings: KafkaSettings, timeout_seconds: float) -> Quorum:
    """Ask once.

    Raises:
        ClusterUnavailable: the quorum has no leader, or nobody said within the time who it is.
    """
    with QuorumReader(settings, timeout_seconds) as reader:
        try:
            return reader.ask().result(timeout_seconds)
        except TimeoutError as error:
            raise unavailable(settings, error, timeout_seconds) from error


def unavailable(settings: KafkaSettings, error: Exception, seconds: float) -> ClusterUnavailable:
    """What went wrong, as a sentence that names the brokers."""
    return ClusterUnavailable(f"{settings.bootstrap_servers} named no controller: {_reason(error, seconds)}")


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


def _quorum(answer: dict[str, Any]) -> Quorum:
    """Take what is needed from the answer, which has one topic with one partition.

    Raises:
        ClusterUnavailable: the partition has an error, or no leader.
    """
    partition = answer["topics"][0]["partitions"][0]
    if partition["error"] is not None:
        raise ClusterUnavailable(partition["error"])
    if partition["leader_id"] == NO_LEADER:
        raise ClusterUnavailable("the metadata quorum has no leader; an election is under way")
    return Quorum(partition["leader_id"], partition["leader_epoch"])


def _reason(error: Exception, seconds: float) -> str:
    if isinstance(error, AuthorizationError):
        return "the cluster does not let this user describe it (the ACL is DESCRIBE on the cluster)"
    if isinstance(error, UnsupportedVersionError):
        return "the cluster cannot describe its metadata quorum (it is older than Kafka 3.3, or runs on ZooKeeper)"
    if isinstance(error, (TimeoutError, KafkaTimeoutError, RequestTimedOutError)):
        return f"no answer within {seconds:.2g} s"
    return str(error) or type(error).__name__
