"""Says why acknowledgements stay away: librdkafka tries again in silence while too few replicas are in sync."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource

from newsroom.background import in_background
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

log = get_logger(__name__)

STALL_SECONDS = 3.0
"""Records that are under way for so long without any delivery are a reason to look."""

ASK_SECONDS = 5.0
NEEDED = "min.insync.replicas"


class InSyncWatch:
    """Looks at the topic's in-sync replicas while nothing is delivered; `problem` is what it saw last."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        self._config = {**config, "log_level": 0}
        self._topic = topic
        self._admin: AdminClient | None = None
        self._answer: Future[str] | None = None
        self._delivered = 0
        self._since = time.monotonic()
        self._asks = str(config.get("acks", "all")) in {"all", "-1"}
        self.problem = ""

    def note(self, delivered: int, unknown: int) -> None:
        """Compare with the last call, and look if nothing moves. It does not wait."""
        now = time.monotonic()
        if not unknown or delivered != self._delivered:
            self._delivered, self._since, self.problem, self._answer = delivered, now, "", None
        if self._answer is not None and self._answer.done():
            problem = "" if self._answer.exception() else self._answer.result()
            self._answer = None
            if unknown and problem and problem != self.problem:
                log.warning(problem, topic=self._topic)
            self.problem = problem or self.problem
        if self._asks and self._answer is None and now - self._since >= STALL_SECONDS:
            self._since = now
            self._answer = in_background(self._look)

    def _look(self) -> str:
        try:
            return self._shortage()
        except (KafkaException, TimeoutError, KeyError, ValueError, TypeError):
            return ""  # the sender says that no broker answers

    def _shortage(self) -> str:
        if self._admin is None:
            self._admin = AdminClient(self._config, logger=logging.getLogger("librdkafka"))
        partitions = self._admin.list_topics(self._topic, timeout=ASK_SECONDS).topics[self._topic].partitions
        resource = ConfigResource(ConfigResource.Type.TOPIC, self._topic)
        described = self._admin.describe_configs([resource], request_timeout=ASK_SECONDS)[resource].result(ASK_SECONDS)
        needed = int(described[NEEDED].value)
        short = {
            number: len(partition.isrs)
            for number, partition in sorted(partitions.items())
            if len(partition.isrs) < min(needed, len(partition.replicas))
        }
        return shortage(self._topic, short, needed)


def shortage(topic: str, short: Mapping[int, int], needed: int) -> str:
    """The sentence about partitions with fewer in-sync replicas than needed; empty if there are none."""
    if not short:
        return ""
    which = ", ".join(f"{number} ({in_sync} in sync)" for number, in_sync in short.items())
    return (
        f"NOT_ENOUGH_REPLICAS: the brokers refuse records for topic {topic} partition {which}, because "
        f"{NEEDED}={needed}: start the brokers that are down"
    )
