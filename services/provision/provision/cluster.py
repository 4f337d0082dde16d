"""The provision job's access to Kafka: it waits for brokers, and creates and inspects topics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from newsroom.access import Access, Right
from newsroom.errors import ClusterUnavailable, NewsroomError
from newsroom.kafka_errors import is_unreachable, kafka_error, reason_of
from newsroom.logs import get_logger
from newsroom.topics import MIN_INSYNC_REPLICAS
from newsroom.waiting import Deadline, need
from provision.comparison import PartitionState, unsettled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from newsroom.topics import DeclaredTopic
    from newsroom.waiting import Wait

log = get_logger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""How long the job waits for the last replica of a topic that exists. A broker that starts catches up in seconds."""

REQUEST_SECONDS = 5.0
"""The timeout of one request to the cluster. The job repeats a failed request until its deadline."""

METADATA_SECONDS = 2.0
"""The timeout of a metadata request. Running brokers answer in milliseconds, and a signal must wait for the answer."""

SHORTEST_SECONDS = 0.1
"""The shortest timeout, so that the last request before the deadline can still succeed."""

LISTED = 5
"""An error names this many unsettled partitions and counts the others."""


class Cluster:
    """The job's requests to the cluster. Every wait ends at the job's one deadline, or at a signal."""

    def __init__(self, config: Mapping[str, Any], wait: Wait) -> None:
        self._access = Access(config)
        callback = {"error_cb": self._access.note}
        self._admin = AdminClient({**config, **callback}, logger=logging.getLogger("librdkafka"))
        self._address = config["bootstrap.servers"]
        self._wait = wait

    def wait_for_brokers(self, number: int) -> None:
        """Wait until `number` brokers are up.

        Raises:
            ClusterUnavailable: fewer brokers are up at the deadline.
            LastingFailure: waiting does not help.
        """

        def attempt() -> None:
            # Under KRaft, metadata does not show whether there is a controller. Creating topics will show it.
            running = len(self._metadata().brokers)
            need(f"{running} of {number} brokers are up" if running < number else None)

        self._until(attempt)

    def topics(self) -> dict[str, tuple[PartitionState, ...]]:
        """Every topic of the cluster, with its partitions.

        Raises:
            ClusterUnavailable: no broker answers.
        """
        return {
            name: tuple(
                PartitionState(number, partition.leader, tuple(partition.replicas), tuple(partition.isrs))
                for number, partition in sorted(topic.partitions.items())
            )
            for name, topic in self._metadata().topics.items()
            if topic.error is None
        }

    def create(self, topics: Sequence[DeclaredTopic]) -> None:
        """Create topics; a topic that exists by now counts as created, because the job checks all topics afterwards.

        Raises:
            NewsroomError: the cluster refuses to create a topic.
            ClusterUnavailable: the controller does not answer before the deadline.
        """
        if topics:
            self._until(lambda: need(self._create(topics)))

    def _create(self, topics: Sequence[DeclaredTopic]) -> str | None:
        """None if the topics exist, otherwise why the cluster could not create one yet."""
        # First: while no broker answers, librdkafka's other requests connect again thousands of times a second.
        self._metadata()
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
                rights = (Right("CREATE", "topic", name), Right("CREATE", "cluster", ""))
                if kafka_error(error).code() != KafkaError.POLICY_VIOLATION:  # the sentence below names the topic
                    self._access.raise_lasting(error, *rights)
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
        """The configuration of each topic; repeats the request if a broker does not know a new topic yet.

        Raises:
            ClusterUnavailable: the cluster does not return the configuration before the deadline.
        """
        return self._until(lambda: self._configs(names))

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = self._admin.describe_configs(resources, request_timeout=REQUEST_SECONDS) if resources else {}
        try:
            return {
                resource.name: {name: entry.value for name, entry in future.result(REQUEST_SECONDS + 1).items()}
                for resource, future in answers.items()
            }
        except (KafkaException, TimeoutError) as error:
            if isinstance(error, KafkaException):
                self._access.raise_lasting(error, *(Right("DESCRIBE_CONFIGS", "topic", name) for name in names))
            raise ClusterUnavailable(
                f"the cluster does not return the topics' configuration ({reason_of(error)})"
            ) from error

    def wait_in_sync(self, names: Sequence[str], *, new: bool) -> dict[str, tuple[PartitionState, ...]]:
        """Wait until every partition of the topics has a leader and all replicas in sync, and return the topics.

        A later request could reach a broker that does not know a new topic yet. If no topic is new, after
        `PATIENCE_SECONDS` the replicas that a write needs are enough: one lost broker stops no cluster.

        Raises:
            ClusterUnavailable: a partition is not in sync at the deadline.
            LastingFailure: the user may not describe a topic.
        """
        patience = Deadline(PATIENCE_SECONDS)

        def attempt() -> dict[str, tuple[PartitionState, ...]]:
            topics = self.topics()
            absent = [name for name in names if not topics.get(name)]
            self._check_describable(absent)
            chosen = {name: topics[name] for name in names if name not in absent}
            lagging = absent or unsettled(chosen)
            if lagging and not absent and not new and patience.passed():
                missing = unsettled(chosen, replicas=MIN_INSYNC_REPLICAS)
                if not missing:
                    log.warning("a broker is missing; the others are enough", not_in_sync=_listed(lagging))
                    return topics
                lagging = missing
            need(f"not in sync: {_listed(lagging)}" if lagging else None)
            return topics

        return self._until(attempt)

    def _check_describable(self, names: Sequence[str]) -> None:
        # A broker leaves out what a user may not describe when it lists all topics.
        for name in names:
            try:
                error = self._admin.list_topics(name, timeout=METADATA_SECONDS).topics[name].error
            except KafkaException:
                return  # the next attempt asks again
            if error is not None:
                self._access.raise_lasting(error, Right("DESCRIBE", "topic", name))

    def _metadata(self) -> Any:  # noqa: ANN401 - the client ships no types
        try:
            seconds = max(SHORTEST_SECONDS, min(METADATA_SECONDS, self._wait.deadline.left()))
            metadata = self._admin.list_topics(timeout=seconds)
        except KafkaException as error:
            self._admin.poll(0)  # runs the error callback, which notes the cause
            self._access.no_answer()
            raise ClusterUnavailable(f"no broker answers ({reason_of(error)})") from error
        self._access.check_advertised(metadata)
        return metadata

    def delete_empty_groups(self, prefix: str) -> list[str]:
        """Delete the groups without members whose ids begin so, and return their ids.

        What cannot be deleted stays, with a warning: nothing waits for it.
        """
        try:
            listing = self._admin.list_consumer_groups(
                states={ConsumerGroupState.EMPTY}, request_timeout=REQUEST_SECONDS
            ).result(REQUEST_SECONDS + 1)
            names = sorted(group.group_id for group in listing.valid if group.group_id.startswith(prefix))
            answers = self._admin.delete_consumer_groups(names, request_timeout=REQUEST_SECONDS) if names else {}
        except (KafkaException, TimeoutError) as error:
            log.warning("groups without members could not be listed", prefix=prefix, why=reason_of(error))
            return []
        deleted = []
        for name, answer in answers.items():
            try:
                answer.result(REQUEST_SECONDS + 1)
            except (KafkaException, TimeoutError) as error:
                log.warning("a group without members could not be deleted", group=name, why=reason_of(error))
            else:
                deleted.append(name)
        return deleted

    def _until(self, attempt: Callable[[], T]) -> T:
        return self._wait.until(
            attempt,
            lambda missing: ClusterUnavailable(
                f"the cluster at {self._address} is not ready after {self._wait.deadline.seconds:g} s: {missing}; "
                "start the missing brokers, or correct --bootstrap-servers or --brokers",
                address=self._address,
            ),
        )


def _listed(partitions: Sequence[str]) -> str:
    more = f" and {len(partitions) - LISTED} more" if len(partitions) > LISTED else ""
    return f"{', '.join(partitions[:LISTED])}{more}"
