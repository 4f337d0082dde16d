"""Readiness probes: what a process must answer before others rely on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from newsroom.errors import ClusterUnavailable
from newsroom.settings import KafkaSettings
from newsroom.waiting import Deadline
from newsroom_stack.catalogue import BROKERS

PROBE_SECONDS = 2.0
"""Deadline of one probe: a process that answers later is not ready."""

HTTP_OK = 200


@dataclass(frozen=True)
class Probe:
    """A question and its address, as plain values, so that the state file can carry it to other commands."""

    kind: Literal["http", "broker"]
    target: str

    def missing(self) -> str | None:
        """None when the process is ready, otherwise what is missing."""
        return http_ready(self.target) if self.kind == "http" else broker_ready(self.target)


def http_ready(url: str) -> str | None:
    """None when the URL answers 200, otherwise its answer."""
    try:
        # trust_env: the user's proxy cannot reach the loopback of this machine.
        response = httpx.get(url, timeout=PROBE_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return f"{url} does not answer ({type(error).__name__})"
    if response.status_code == HTTP_OK:
        return None
    return f"{url} answers {response.status_code}: {response.text.strip()[:200]}"


def broker_ready(bootstrap: str) -> str | None:
    """None when this broker's metadata has all brokers and the metadata quorum has a leader, otherwise what is missing.

    The metadata's controller proves nothing: under KRaft it is any broker that was alive.
    """
    deadline = Deadline(PROBE_SECONDS)
    # log_level 0: a broker that does not listen yet is normal during a start.
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.connection.setup.timeout.ms": 2000})
    try:
        cluster = admin.describe_cluster(request_timeout=PROBE_SECONDS).result(timeout=deadline.left())
    except (KafkaException, TimeoutError) as error:
        reason = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
        return f"{bootstrap} gives no metadata ({reason})"
    if len(cluster.nodes) < BROKERS:
        return f"{bootstrap} sees {len(cluster.nodes)} of {BROKERS} brokers"
    return _leaderless(bootstrap, deadline.left())


def _leaderless(bootstrap: str, seconds: float) -> str | None:
    # Imported here: kafka-python takes a third of a second, and most commands probe no broker.
    from newsroom.admin.quorum import describe_quorum  # noqa: PLC0415

    # model_construct ignores the environment: its variables describe another cluster, and may be wrong.
    settings = KafkaSettings.model_construct(bootstrap_servers=bootstrap)
    try:
        describe_quorum(settings, seconds)
    except ClusterUnavailable as error:
        return str(error)
    return None
