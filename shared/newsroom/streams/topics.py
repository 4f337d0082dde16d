"""Prepares a stream service's topics before it starts: waits for its inputs and creates its changelog."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.error import KafkaError

from newsroom.access import Access, Right
from newsroom.errors import ClusterUnavailable, LastingFailure, NewsroomError, NotYet, StateLost, TopicMismatch
from newsroom.kafka_errors import kafka_error, raise_errors, reason_of
from newsroom.logs import get_logger
from newsroom.topics import MIN_INSYNC_REPLICAS
from newsroom.waiting import Deadline, Wait, need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from newsroom.streams.changelog import Changelog
    from newsroom.streams.settings import StreamSettings
    from newsroom.waiting import StopFlag

T = TypeVar("T")

log = get_logger(__name__)

CLUSTER_WAIT_SECONDS = 60.0
"""A broker answers about ten seconds after its start. A whole cluster on a laptop takes up to a minute."""

METADATA_SECONDS = 2.0
"""The timeout of one metadata request, which a running broker answers in milliseconds."""

ASK_SECONDS = 5.0
"""The timeout of one request to the cluster. A stop request may wait as long."""

ANSWER_MARGIN_SECONDS = 0.5
"""librdkafka itself ends a request at its timeout. Its result gets this much longer to arrive."""

RETRY_SECONDS = 0.5


def await_topics(settings: StreamSettings, access: Access, names: Sequence[str], stop: StopFlag) -> dict[str, Any]:
    """Wait for the cluster and the topics, and check the rights on them.

    Returns librdkafka's metadata of each topic by name.

    Raises:
        ClusterUnavailable: no broker answers within a minute.
        LastingFailure: waiting does not help.
        TopicMismatch: a topic does not exist after a minute.
        Stopped: a signal arrived.
    """
    admin = _client(settings, access)
    deadline = Deadline(CLUSTER_WAIT_SECONDS)
    error: type[NewsroomError] = ClusterUnavailable

    def attempt() -> dict[str, Any]:
        nonlocal error
        try:
            metadata = admin.list_topics(timeout=METADATA_SECONDS)
        except KafkaException as failure:
            admin.poll(0)  # runs the error callback, which notes the cause
            access.no_answer()
            error = ClusterUnavailable
            raise NotYet(
                f"no broker at {settings.bootstrap_servers} answers ({reason_of(failure)}): is the cluster running?"
            ) from failure
        error = TopicMismatch
        access.check_advertised(metadata)
        topics: dict[str, Any] = metadata.topics
        # The metadata of a topic that is just being created has no partitions yet.
        missing = [name for name in names if name not in topics or not topics[name].partitions]
        _check_describable(admin, access, missing)
        need(f"topics {', '.join(missing)} do not exist: run 'provision' first" if missing else None)
        _check_rights(admin, access, names)
        return {name: topics[name] for name in names}

    wait = Wait(deadline, stop, longest_pause=RETRY_SECONDS)
    return wait.until(attempt, lambda missing: error(f"{missing} (waited {deadline.seconds:.0f} s)"))


def _check_describable(admin: AdminClient, access: Access, names: Sequence[str]) -> None:
    """Ask for each topic by its name: a broker leaves out what a user may not describe when it lists all topics.

    Raises:
        LastingFailure: the user may not describe one of them, which may exist or not.
    """
    for name in names:
        try:
            error = admin.list_topics(name, timeout=METADATA_SECONDS).topics[name].error
        except KafkaException as failure:
            raise NotYet(f"topic {name} could not be looked up ({reason_of(failure)})") from failure
        if error is not None:
            access.raise_lasting(error, *_rights_on(access, name))


def _rights_on(access: Access, name: str) -> list[Right]:
    return [right for right in access.rights if (right.kind, right.name) == ("topic", name)]


def _check_rights(admin: AdminClient, access: Access, names: Sequence[str]) -> None:
    """Compare what the service needs with what the broker says that its user may do on each topic.

    Without this a denied write would show at the first result, which may be hours away.

    Raises:
        LastingFailure: a right is missing.
        NotYet: the broker did not answer.
    """
    answers = admin.describe_topics(
        TopicCollection(list(dict.fromkeys(names))), include_authorized_operations=True, request_timeout=ASK_SECONDS
    )
    lacking: list[Right] = []
    for name, future in sorted(answers.items()):
        try:
            allowed = {operation.name for operation in _answer(future).authorized_operations or ()}
        except (KafkaException, TimeoutError) as error:
            if isinstance(error, KafkaException):
                access.raise_lasting(error, *_rights_on(access, name))
            raise NotYet(f"topic {name} could not be looked up ({reason_of(error)})") from error
        if allowed:  # a broker that does not tell lists nothing
            lacking += [right for right in _rights_on(access, name) if right.operation not in allowed]
    if lacking:
        raise access.denied(lacking)


def denied_topics(settings: StreamSettings, access: Access) -> LastingFailure | None:
    """Which rights on topics are missing now; None if the broker names none."""
    names = [right.name for right in access.rights if right.kind == "topic"]
    try:
        _check_rights(_client(settings, access), access, names)
    except LastingFailure as failure:
        return failure
    except NotYet:
        pass
    return None


def _client(settings: StreamSettings, access: Access) -> AdminClient:
    config = settings.client_config(f"{settings.consumer_group}-setup")
    return AdminClient({**config, "error_cb": access.note}, logger=logging.getLogger("librdkafka"))


def prepare_changelog(
    settings: StreamSettings, access: Access, changelog: Changelog, sources: dict[str, Any], stop: StopFlag
) -> str:
    """Create the changelog unless it exists, and return its topic id; `sources` is what `await_topics` returns.

    Quix would create it without `min.insync.replicas`. It uses an existing one unchanged.

    Raises:
        ClusterUnavailable: the cluster did not answer, or did not create the changelog, within a minute.
        LastingFailure: waiting does not help.
        StateLost: the changelog is missing, but the group has committed offsets on its inputs.
        Stopped: a signal arrived.
    """
    cluster = _Cluster(settings, access, stop)
    new = _as_it_should_be(changelog, sources)
    if cluster.described(changelog.topic) is None:
        # The changelog exists before the first commit. If another replica has just created it and committed, this
        # broker may not know it yet: the controller does.
        if cluster.has_commits(changelog.group, sources) and cluster.creates(new, only_ask=True):
            raise StateLost(
                f"changelog {changelog.topic} is missing, but group {changelog.group} has committed offsets on "
                f"{' and '.join(changelog.sources)} and would continue with an empty state: {changelog.start_anew()}",
                topic=changelog.topic,
            )
        if cluster.creates(new):
            log.info("changelog created", topic=new.topic, replicas=new.replication_factor)
    return cluster.id_of(changelog.topic)


def forget_offsets(settings: StreamSettings, access: Access, topic: str) -> None:
    """Set the group's offsets of a topic that was made anew to its beginning; the last commit may be of the old one."""
    admin = _client(settings, access)
    group = settings.consumer_group
    try:
        partitions = admin.list_topics(topic, timeout=METADATA_SECONDS).topics[topic].partitions
        offsets = [TopicPartition(topic, number, 0) for number in partitions]
        request = ConsumerGroupTopicPartitions(group, offsets)
        futures = admin.alter_consumer_group_offsets([request], request_timeout=ASK_SECONDS)
        raise_errors(_answer(futures[group]).topic_partitions)
    except (KafkaException, TimeoutError) as error:
        # The cluster refuses this while the group has other members; it deletes a topic's offsets with the topic.
        log.warning(
            "the group's offsets of the new topic could not be reset; if they are not at its beginning, stop all "
            "replicas and run kafka-consumer-groups --reset-offsets --to-earliest --execute",
            group=group,
            topic=topic,
            error=reason_of(error),
        )


def _as_it_should_be(changelog: Changelog, sources: dict[str, Any]) -> NewTopic:
    replicas = max(len(topic.partitions[0].replicas) for topic in sources.values())
    return NewTopic(
        changelog.topic,
        num_partitions=max(len(topic.partitions) for topic in sources.values()),
        replication_factor=replicas,
        config={
            "cleanup.policy": "compact",
            "min.insync.replicas": str(min(MIN_INSYNC_REPLICAS, max(1, replicas - 1))),
        },
    )


class _Cluster:
    """Requests to the cluster, each repeated until the cluster answers. All of them share one deadline."""

    def __init__(self, settings: StreamSettings, access: Access, stop: StopFlag) -> None:
        self._settings = settings
        self._access = access
        self._name = f"{settings.consumer_group}-setup"
        self._admin = _client(settings, access)
        self._wait = Wait(Deadline(CLUSTER_WAIT_SECONDS), stop, longest_pause=RETRY_SECONDS)

    def described(self, name: str) -> Any | None:  # noqa: ANN401 - confluent-kafka is untyped
        """The topic, or None if the broker that answers does not know it; a broker may learn of a new topic late."""

        def ask() -> Any | None:  # noqa: ANN401
            try:
                return _answer(self._admin.describe_topics(TopicCollection([name]), request_timeout=ASK_SECONDS)[name])
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return None
                raise

        return self._answered(ask, f"topic {name} could not be looked up", *_rights_on(self._access, name))

    def creates(self, new: NewTopic, *, only_ask: bool = False) -> bool:
        """Create the topic, or with `only_ask` check that the controller would; false if it exists."""

        def ask() -> bool:
            futures = self._admin.create_topics([new], request_timeout=ASK_SECONDS, validate_only=only_ask)
            try:
                _answer(futures[new.topic])
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
                raise
            return True

        rights = (Right("CREATE", "topic", new.topic), Right("CREATE", "cluster", ""))
        return self._answered(ask, f"topic {new.topic} could not be created", *rights)

    def has_commits(self, group: str, topics: dict[str, Any]) -> bool:
        """Whether the group has committed offsets on these topics; does not join the group."""
        # read_committed would wait until a killed replica's open transaction times out.
        config = self._settings.consumer_config(self._name, group, isolation_level="read_uncommitted")
        consumer = Consumer(config, logger=logging.getLogger("librdkafka"))
        partitions = [TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions]

        def ask() -> bool:
            try:
                commits = raise_errors(consumer.committed(partitions, timeout=ASK_SECONDS))
            except KafkaException as error:
                # A denied search for the coordinator is an event of the client; the call just ends late.
                event = consumer.poll(0)
                if event is None or event.error() is None:
                    raise
                raise KafkaException(event.error()) from error
            # Zero means that the group was reset to the beginning. A negative offset means no commit.
            return any(commit.offset > 0 for commit in commits)

        try:
            rights = (Right("READ", "group", group), *(Right("READ", "topic", name) for name in topics))
            return self._answered(ask, f"the committed offsets of group {group} could not be read", *rights)
        finally:
            consumer.close()

    def id_of(self, name: str) -> str:
        """The topic's id, once each of its partitions has a leader."""

        def attempt() -> str:
            topic = self.described(name)
            if topic is None or any(partition.leader is None for partition in topic.partitions):
                raise NotYet(f"topic {name} has no leader: are enough brokers up?")
            _check_rights(self._admin, self._access, [name])
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


def _answer(future: Future[T]) -> T:
    return future.result(timeout=ASK_SECONDS + ANSWER_MARGIN_SECONDS)
