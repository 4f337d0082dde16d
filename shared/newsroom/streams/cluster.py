"""Requests to the cluster before a stream service starts, each repeated until the cluster answers."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from confluent_kafka.error import KafkaError

from newsroom.access import Access, Right
from newsroom.answers import ASK_SECONDS, answer
from newsroom.errors import ClusterUnavailable, NotYet
from newsroom.kafka_errors import kafka_error, raise_errors, reason_of
from newsroom.rights import check_rights, rights_on
from newsroom.topics import MAX_RECORD_BYTES
from newsroom.waiting import Deadline, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from newsroom.streams.settings import StreamSettings
    from newsroom.waiting import StopFlag

T = TypeVar("T")

METADATA_SECONDS = 2.0
"""The timeout of one metadata request, which a running broker answers in milliseconds."""

RETRY_SECONDS = 0.5

OTHER_SECONDS = 2.0
AT_ONCE = 16
"""The timeout of a question about another group, and how many of them are asked at once."""

DENIED = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED})


def patience(seconds: float, stop: StopFlag) -> Wait:
    """A wait for the cluster that begins now."""
    return Wait(Deadline(seconds), stop, longest_pause=RETRY_SECONDS)


def admin_client(settings: StreamSettings, access: Access) -> AdminClient:
    """An admin client whose errors `access` notes."""
    config = settings.client_config(f"{settings.consumer_group}-setup")
    return AdminClient({**config, "error_cb": access.note}, logger=logging.getLogger("librdkafka"))


class Cluster:
    """Requests to the cluster, each repeated until the cluster answers. All of them share the deadline of `wait`."""

    def __init__(self, settings: StreamSettings, access: Access, wait: Wait) -> None:
        self._settings = settings
        self._access = access
        self._name = f"{settings.consumer_group}-setup"
        self._admin = admin_client(settings, access)
        self._hidden: set[str] = set()
        """Groups that this user may not read."""
        self._wait = wait

    def described(self, name: str) -> Any | None:  # noqa: ANN401 - confluent-kafka is untyped
        """The topic, or None if the broker that answers does not know it; a broker may learn of a new topic late."""

        def ask() -> Any | None:  # noqa: ANN401
            try:
                return answer(self._admin.describe_topics(TopicCollection([name]), request_timeout=ASK_SECONDS)[name])
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return None
                raise

        return self._answered(ask, f"topic {name} could not be looked up", *rights_on(self._access, name))

    def creates(self, new: NewTopic, *, only_ask: bool = False) -> bool:
        """Create the topic, or with `only_ask` check that the controller would; false if it exists."""

        def ask() -> bool:
            futures = self._admin.create_topics([new], request_timeout=ASK_SECONDS, validate_only=only_ask)
            try:
                answer(futures[new.topic])
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
                raise
            return True

        rights = (Right("CREATE", "topic", new.topic), Right("CREATE", "cluster", ""))
        return self._answered(ask, f"topic {new.topic} could not be created", *rights)

    def committed(self, group: str, topics: Mapping[str, Any]) -> list[TopicPartition]:
        """The group's commits on these topics, a negative offset where there is none; does not join the group."""
        rights = (Right("READ", "group", group), *(Right("READ", "topic", name) for name in topics))
        ask = partial(self._committed, group, topics, ASK_SECONDS)
        return self._answered(ask, f"the committed offsets of group {group} could not be read", *rights)

    def _committed(self, group: str, topics: Mapping[str, Any], seconds: float) -> list[TopicPartition]:
        # read_committed would wait until a killed replica's open transaction times out.
        config = self._settings.consumer_config(self._name, group, isolation_level="read_uncommitted")
        consumer = Consumer(config, logger=logging.getLogger("librdkafka"))
        partitions = [TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions]
        try:
            return raise_errors(consumer.committed(partitions, timeout=seconds))
        except KafkaException as error:
            # A denied search for the coordinator is an event of the client; the call just ends late.
            event = consumer.poll(0)
            if event is None or event.error() is None:
                raise
            raise KafkaException(event.error()) from error
        finally:
            consumer.close()

    def commits_of(self, groups: Iterable[str], topics: Mapping[str, Any]) -> dict[str, list[TopicPartition]]:
        """The commits of other groups on these topics; those of a group that this user may not read are left out."""

        def one(group: str) -> list[TopicPartition]:
            if group in self._hidden:
                return []
            try:
                return self._committed(group, topics, OTHER_SECONDS)
            except KafkaException as error:
                if kafka_error(error).code() not in DENIED:
                    raise
                self._hidden.add(group)
                return []

        def ask() -> dict[str, list[TopicPartition]]:
            names = sorted(groups)
            # Side by side: each refusal takes its whole time.
            with ThreadPoolExecutor(AT_ONCE) as pool:
                return dict(zip(names, pool.map(one, names), strict=True))

        return self._answered(ask, "the commits of other groups could not be read")

    def forget(self, group: str, topics: Mapping[str, Any]) -> None:
        """Set the group's offsets of these topics to their beginning.

        Raises:
            KafkaException: the cluster refuses it, for example while the group has members.
            TimeoutError: no answer came.
        """
        offsets = [TopicPartition(name, number, 0) for name, topic in topics.items() for number in topic.partitions]
        request = ConsumerGroupTopicPartitions(group, offsets)
        futures = self._admin.alter_consumer_group_offsets([request], request_timeout=ASK_SECONDS)
        raise_errors(answer(futures[group]).topic_partitions)

    def topics(self) -> dict[str, Any]:
        """The metadata of every topic that this user may describe."""
        return self._answered(
            lambda: dict(self._admin.list_topics(timeout=METADATA_SECONDS).topics), "the topics could not be listed"
        )

    def most_bytes(self, name: str) -> int:
        """The largest record that a topic takes; Kafka's default if this user may not know."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            config = answer(self._admin.describe_configs([resource], request_timeout=ASK_SECONDS)[resource])
            return int(config["max.message.bytes"].value)
        except (KafkaException, TimeoutError, KeyError):
            return MAX_RECORD_BYTES

    def id_of(self, name: str) -> str:
        """The topic's id, once each of its partitions has a leader."""

        def attempt() -> str:
            topic = self.described(name)
            if topic is None or any(partition.leader is None for partition in topic.partitions):
                raise NotYet(f"topic {name} has no leader: are enough brokers up?")
            check_rights(self._admin, self._access, [name])
            # librdkafka's base64 contains '/'. Kafka's tools write the URL-safe form, which is also a valid file name.
            return str(topic.topic_id).replace("+", "-").replace("/", "_")

        seconds = self._wait.deadline.seconds
        return self._wait.until(attempt, lambda missing: ClusterUnavailable(f"{missing} (waited {seconds:.0f} s)"))

    def _answered(self, ask: Callable[[], T], failure: str, *rights: Right) -> T:
        address = self._settings.bootstrap_servers

        def attempt() -> T:
            try:
                # First: while no broker answers, librdkafka's other requests connect again thousands of times a second.
                self._admin.list_topics(timeout=METADATA_SECONDS)
                return ask()
            except TimeoutError as error:
                raise NotYet(f"no answer within {ASK_SECONDS:g} s") from error
            except KafkaException as error:
                self._access.raise_lasting(error, *rights)
                raise NotYet(reason_of(error)) from error
            finally:
                self._admin.poll(0)  # hands on its log lines

        return self._wait.until(
            attempt, lambda missing: ClusterUnavailable(f"{failure} at {address}: {missing}", address=address)
        )
