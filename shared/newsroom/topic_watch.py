"""Looks at topics again while a service runs: offsets and keys belong to a topic and its partitions, not to its name.

A topic that is deleted and made anew has the same name, and a client that goes on at its old offset skips records. A
topic with more partitions has its keys elsewhere.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from newsroom.errors import TopicMismatch
from newsroom.kafka_errors import kafka_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

LOOK_SECONDS = 2.0
"""The time between two looks, and the timeout of one."""

ANSWER_SECONDS = 1.0
"""How long a service waits for an answer before a commit. Without an answer it commits: brokers are changing."""

SILENCE_SECONDS = 10.0
"""How long it does not ask before a commit after a question without an answer."""

MISSING_LOOKS = 3
"""A topic that is missing as often in a row was deleted: one broker may learn of a topic late."""


@dataclass(frozen=True)
class TopicShape:
    """What must hold of a topic."""

    id: str
    partitions: int


class TopicWatch:
    """Compares topics with what they were at the first look. The partitions of those in `fixed` must stay."""

    def __init__(
        self,
        config: Mapping[str, Any],
        names: Collection[str],
        fixed: Collection[str] = (),
        client: Callable[..., Any] = AdminClient,
    ) -> None:
        self._admin = client(dict(config), logger=logging.getLogger("librdkafka"))
        self._names = sorted(names)
        self._fixed = frozenset(fixed)
        self._first: dict[str, TopicShape] = {}
        self._missing: dict[str, int] = {}
        self._futures: dict[str, Future[Any]] = {}
        self._asked_at = self._silent_until = 0.0

    def look(self) -> None:
        """Judge the last answer and ask again when it is time to; does not wait.

        Raises:
            TopicMismatch: a topic is not what it was.
        """
        if self._futures and all(future.done() for future in self._futures.values()):
            self._judge(0)
        if time.monotonic() - self._asked_at >= LOOK_SECONDS:
            self._ask()

    def check(self) -> None:
        """Ask, and wait a moment for the answer: what is committed next must not be wrong.

        Raises:
            TopicMismatch: a topic is not what it was.
        """
        now = time.monotonic()
        if now < self._silent_until:
            return
        self._ask()
        self._judge(ANSWER_SECONDS)
        if self._futures:
            self._silent_until = now + SILENCE_SECONDS

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        self._futures = self._admin.describe_topics(TopicCollection(self._names), request_timeout=LOOK_SECONDS)

    def _judge(self, seconds: float) -> None:
        """Judge the answers that come in time; they are forgotten if all came."""
        end = time.monotonic() + seconds
        for name, future in self._futures.items():
            try:
                topic = future.result(max(0.0, end - time.monotonic()))
            except TimeoutError:
                return
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    self._note_missing(name)
                continue
            self._missing.pop(name, None)
            self._compare(name, TopicShape(str(topic.topic_id), len(topic.partitions)))
        self._futures = {}

    def _note_missing(self, name: str) -> None:
        self._missing[name] = self._missing.get(name, 0) + 1
        if name in self._first and self._missing[name] >= MISSING_LOOKS:
            raise TopicMismatch(
                f"topic {name} was deleted while this service ran: run 'provision', which makes it anew, and start the "
                "service again",
                topic=name,
            )

    def _compare(self, name: str, now: TopicShape) -> None:
        first = self._first.setdefault(name, now)
        if now.id != first.id:
            raise TopicMismatch(
                f"topic {name} was deleted and made anew while this service ran: start the service again; it reads the "
                "new topic from its beginning",
                topic=name,
                recreated=True,
            )
        if name in self._fixed and now.partitions != first.partitions:
            raise TopicMismatch(
                f"topic {name} was given {now.partitions} partitions instead of {first.partitions} while this service "
                f"ran: its keys are in other partitions now, and results would be wrong. {REMEDY}",
                topic=name,
            )


REMEDY = (
    "Kafka does not take partitions back: stop all replicas, delete the topic that was enlarged (kafka-topics --delete "
    "--topic NAME), run 'provision', which makes it anew with the right number, start the replicas and send again what "
    "they had not read"
)
"""What helps when keys are not where they were."""
