"""The provision job's edge to Kafka: waits, creates, looks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from newsroom.errors import ClusterUnavailable, NewsroomError
from newsroom.kafka_errors import is_unreachable, kafka_error, reason_of
from newsroom.waiting import need
from provision.plan import FoundPartition, unsettled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from newsroom.topics import Topic
    from newsroom.waiting import Wait

T = TypeVar("T")

REQUEST_SECONDS = 5.0
"""One request to the cluster; what fails is asked again until the job's deadline."""

METADATA_SECONDS = 2.0
"""One question for metadata: brokers that are there answer in milliseconds, and a signal is heard after it."""

SHORTEST_SECONDS = 0.1
"""At the deadline one last question is still asked properly."""

LISTED = 5
"""How many unsettled partitions a sentence names before it only counts them."""


class Cluster:
    """The cluster as the job sees it. Every wait ends at the job's one deadline, or at a signal."""

    def __init__(self, config: Mapping[str, Any], patience: Wait) -> None:
        self._admin = AdminClient(dict(config), logger=logging.getLogger("librdkafka"))
        self._address = config["bootstrap.servers"]
        self._patience = patience

    def wait_for_brokers(self, number: int) -> None:
        """Wait until `number` brokers are there.

        Raises:
            ClusterUnavailable: they are not before the deadline.
        """

        def attempt() -> None:
            # Whether they have a controller shows when topics are created: metadata does not tell it under KRaft.
            running = len(self._metadata().brokers)
            need(f"{running} of {number} brokers are up" if running < number else None)

        self._wait(attempt)

    def topics(self) -> dict[str, tuple[FoundPartition, ...]]:
        """Every topic there is, with its partitions.

        Raises:
            ClusterUnavailable: no broker answers.
        """
        return {
            name: tuple(
                FoundPartition(number, item.leader, tuple(item.replicas), tuple(item.isrs))
                for number, item in sorted(topic.partitions.items())
            )
            for name, topic in self._metadata().topics.items()
            if topic.error is None
        }

    def create(self, topics: Sequence[Topic]) -> None:
        """Create topics; one that appeared meanwhile counts as created, the check that follows looks at it.

        Raises:
            NewsroomError: the cluster refuses one.
            ClusterUnavailable: its controller does not answer before the deadline.
        """
        if topics:
            self._wait(lambda: need(self._create(topics)))

    def _create(self, topics: Sequence[Topic]) -> str | None:
        """None when the topics exist, otherwise what kept the cluster from creating one for now."""
        new_topics = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=topic.replication_factor,
                config=topic.full_config(),
            )
            for topic in topics
        ]
        missing = None
        for name, future in self._admin.create_topics(new_topics, request_timeout=REQUEST_SECONDS).items():
            try:
                future.result(REQUEST_SECONDS + 1)
            except TimeoutError:
                missing = f"topic {name} is not created yet (no answer within {REQUEST_SECONDS:g} s)"
            except KafkaException as error:
                if is_unreachable(kafka_error(error)):
                    missing = f"topic {name} is not created yet ({reason_of(error)})"
                elif kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise NewsroomError(
                        f"topic {name} cannot be created at {self._address}: {reason_of(error)}; correct the cause and "
                        "run provision again",
                        topic=name,
                        address=self._address,
                    ) from error
        return missing

    def configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The configuration of each topic; a broker that has not heard of a new topic yet is asked again.

        Raises:
            ClusterUnavailable: the cluster does not tell before the deadline.
        """
        return self._wait(lambda: self._configs(names))

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = self._admin.describe_configs(asked, request_timeout=REQUEST_SECONDS) if asked else {}
        try:
            return {
                resource.name: {name: entry.value for name, entry in future.result(REQUEST_SECONDS + 1).items()}
                for resource, future in answers.items()
            }
        except KafkaException as error:
            raise ClusterUnavailable(
                f"the cluster does not tell the topics' configuration ({reason_of(error)})"
            ) from error

    def wait_in_sync(self, names: Sequence[str]) -> dict[str, tuple[FoundPartition, ...]]:
        """Wait until every partition of the topics has a leader and all its replicas in sync; the topics as seen then.

        Asked again, another broker might not have heard of a new topic yet.

        Raises:
            ClusterUnavailable: that does not come before the deadline.
        """

        def attempt() -> dict[str, tuple[FoundPartition, ...]]:
            topics = self.topics()
            absent = [name for name in names if not topics.get(name)]
            lagging = absent or unsettled({name: topics[name] for name in names})
            more = f" and {len(lagging) - LISTED} more" if len(lagging) > LISTED else ""
            need(f"not in sync: {', '.join(lagging[:LISTED])}{more}" if lagging else None)
            return topics

        return self._wait(attempt)

    def _metadata(self) -> Any:  # noqa: ANN401 - the client ships no types
        try:
            seconds = max(SHORTEST_SECONDS, min(METADATA_SECONDS, self._patience.deadline.left()))
            return self._admin.list_topics(timeout=seconds)
        except KafkaException as error:
            raise ClusterUnavailable(f"no broker answers ({reason_of(error)})") from error

    def _wait(self, attempt: Callable[[], T]) -> T:
        return self._patience.until(
            attempt,
            lambda missing: ClusterUnavailable(
                f"the cluster at {self._address} is not ready after {self._patience.deadline.seconds:g} s: {missing}; "
                "start the missing brokers, or correct --bootstrap-servers or --brokers",
                address=self._address,
            ),
        )
