"""Looks at topics again while a service runs: offsets and keys belong to a topic and its partitions, not to its name.

A topic that is deleted and made anew has the same name, and a client that goes on at its old offset skips records. A
topic with more partitions has its keys elsewhere.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from newsroom.background import in_background
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
        self._question: Future[dict[str, Any]] | None = None
        self._asked_at = self._silent_until = 0.0

    def look(self) -> None:
        """Judge the last answer and ask again when it is time to; does not wait.

        Raises:
            TopicMismatch: a topic is not what it was.
        """
        self._admin.poll(0)  # an admin client hands on its log lines only when it is polled
        if self._question is not None and self._question.done():
            self._judge(0)
        if self._question is None and time.monotonic() - self._asked_at >= LOOK_SECONDS:
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
        if not self._judge(ANSWER_SECONDS):
            self._silent_until = now + SILENCE_SECONDS

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        self._question = in_background(self._described)

    def _described(self) -> dict[str, Any]:
        """Each topic as the cluster describes it now, or the error.

        Raises:
            KafkaException: no broker answers.
            TimeoutError: a broker does not answer.
        """
        # First: while the controller that it knows is dead, librdkafka describes nothing and connects without a pause.
        self._admin.list_topics(self._names[0], timeout=LOOK_SECONDS)
        futures = self._admin.describe_topics(TopicCollection(self._names), request_timeout=LOOK_SECONDS)
        wait(futures.values(), LOOK_SECONDS + ANSWER_SECONDS)
        return {name: future.exception(0) or future.result() for name, future in futures.items()}

    def _judge(self, seconds: float) -> bool:
        """Judge the answer if it comes in time, and forget the question then; whether there was an answer."""
        if self._question is None or not wait([self._question], seconds).done:
            return False
        question, self._question = self._question, None
        if question.exception() is not None:
            return False
        for name, topic in question.result().items():
            if not isinstance(topic, KafkaException):
                self._missing.pop(name, None)
                self._compare(name, TopicShape(str(topic.topic_id), len(topic.partitions)))
            elif kafka_error(topic).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                self._note_missing(name)
        return True

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
