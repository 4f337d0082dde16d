"""The topics of a stream service before it starts: inputs must be there, its changelog is created as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.error import KafkaError

from newsroom.errors import ClusterUnavailable, NewsroomError, NotYet, StateLost, TopicMismatch
from newsroom.kafka_errors import LASTING, kafka_error, raise_errors, reason_of
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
"""A broker answers some ten seconds after its start; a whole cluster on a laptop takes up to a minute."""

ASK_SECONDS = 5.0
"""One question to the cluster; also how late a stop request may be noticed while waiting for it."""

ANSWER_MARGIN_SECONDS = 0.5
"""librdkafka ends a request itself after its timeout; its answer gets this much longer to arrive."""

RETRY_SECONDS = 0.5


def await_topics(settings: StreamSettings, names: Sequence[str], stop: StopFlag) -> dict[str, Any]:
    """Wait for the cluster and the topics: name to librdkafka's metadata.

    Raises:
        ClusterUnavailable: no broker answers within a minute.
        TopicMismatch: a topic does not exist.
        Stopped: a signal came meanwhile.
    """
    admin = AdminClient(settings.client_config(f"{settings.consumer_group}-setup"))
    deadline = Deadline(CLUSTER_WAIT_SECONDS)
    error: type[NewsroomError] = ClusterUnavailable

    def attempt() -> dict[str, Any]:
        nonlocal error
        try:
            topics: dict[str, Any] = admin.list_topics(timeout=ASK_SECONDS).topics
        except KafkaException as failure:
            error = ClusterUnavailable
            raise NotYet(
                f"no broker at {settings.bootstrap_servers} answers ({reason_of(failure)}): is the cluster running?"
            ) from failure
        error = TopicMismatch
        # A topic that is just being created is there without partitions.
        missing = [name for name in names if name not in topics or not topics[name].partitions]
        need(f"topics {', '.join(missing)} do not exist: run 'provision' first" if missing else None)
        return {name: topics[name] for name in names}

    wait = Wait(deadline, stop, longest_pause=RETRY_SECONDS)
    return wait.until(attempt, lambda missing: error(f"{missing} (waited {deadline.seconds:.0f} s)"))


def prepare_changelog(settings: StreamSettings, changelog: Changelog, sources: dict[str, Any], stop: StopFlag) -> str:
    """Create the changelog over `sources` (as `await_topics` gives them) unless it exists; its id, as Kafka writes it.

    Quix would create it without `min.insync.replicas`; it takes an existing one as it is.

    Raises:
        ClusterUnavailable: the cluster did not answer, or did not create it, within a minute.
        StateLost: it is gone, but the group has read its inputs.
        Stopped: a signal came meanwhile.
    """
    cluster = _Cluster(settings, stop)
    new = _as_it_should_be(changelog, sources)
    if cluster.described(changelog.topic) is None:
        # Only a first start finds no commits: the changelog is there before the first one. Of two replicas that start
        # at once the quicker may have made it and committed by now; the controller knows for certain.
        if cluster.has_commits(changelog.group, sources) and cluster.creates(new, only_ask=True):
            raise StateLost(
                f"topic {changelog.topic}, which the state of group {changelog.group} is restored from, is gone, but "
                f"the group has read {' and '.join(changelog.sources)}, and would go on with an empty state: "
                f"{changelog.start_anew()}",
                topic=changelog.topic,
            )
        if cluster.creates(new):
            log.info("changelog created", topic=new.topic, replicas=new.replication_factor)
    return cluster.id_of(changelog.topic)


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
    """Questions to the cluster, each asked again until it is answered. All of them share one deadline."""

    def __init__(self, settings: StreamSettings, stop: StopFlag) -> None:
        self._settings = settings
        self._name = f"{settings.consumer_group}-setup"
        self._admin = AdminClient(settings.client_config(self._name))
        self._wait = Wait(Deadline(CLUSTER_WAIT_SECONDS), stop, longest_pause=RETRY_SECONDS)

    def described(self, name: str) -> Any | None:  # noqa: ANN401 - confluent-kafka is untyped
        """The topic; None when the broker that answers does not know it (and a broker may be a moment late)."""

        def ask() -> Any | None:  # noqa: ANN401
            try:
                return _answer(self._admin.describe_topics(TopicCollection([name]), request_timeout=ASK_SECONDS)[name])
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return None
                raise

        return self._answered(ask, f"topic {name} could not be looked up")

    def creates(self, new: NewTopic, *, only_ask: bool = False) -> bool:
        """Whether the controller creates the topic (or, when only asked, would): false when it exists."""

        def ask() -> bool:
            futures = self._admin.create_topics([new], request_timeout=ASK_SECONDS, validate_only=only_ask)
            try:
                _answer(futures[new.topic])
            except KafkaException as error:
                if kafka_error(error).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
                raise
            return True

        return self._answered(ask, f"topic {new.topic} could not be created")

    def has_commits(self, group: str, topics: dict[str, Any]) -> bool:
        """Whether the group has read anything of these topics. It is not joined."""
        # read_committed would wait for the transaction that a killed replica left open, up to its timeout.
        config = self._settings.consumer_config(self._name, group, isolation_level="read_uncommitted")
        consumer = Consumer(config)
        partitions = [TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions]

        def ask() -> bool:
            commits = consumer.committed(partitions, timeout=ASK_SECONDS)
            raise_errors(commits)
            # Zero is a group that was reset to the beginning; negative means no commit.
            return any(commit.offset > 0 for commit in commits)

        try:
            return self._answered(ask, f"the commits of group {group} could not be read")
        finally:
            consumer.close()

    def id_of(self, name: str) -> str:
        """The topic's id, once each of its partitions has a leader."""

        def attempt() -> str:
            topic = self.described(name)
            led = topic is not None and all(partition.leader is not None for partition in topic.partitions)
            need(None if led else f"topic {name} has no leader: are enough brokers up?")
            # librdkafka writes the id in base64 with '/'; Kafka's tools write it so, and it is a file's name.
            return str(topic.topic_id).replace("+", "-").replace("/", "_") if topic else ""

        seconds = self._wait.deadline.seconds
        return self._wait.until(attempt, lambda missing: ClusterUnavailable(f"{missing} (waited {seconds:.0f} s)"))

    def _answered(self, ask: Callable[[], T], failure: str) -> T:
        address = self._settings.bootstrap_servers

        def attempt() -> T:
            try:
                return ask()
            except TimeoutError as error:
                raise NotYet(f"no answer within {ASK_SECONDS:g} s") from error
            except KafkaException as error:
                if kafka_error(error).code() in LASTING:
                    raise NewsroomError(f"{failure} at {address}: {reason_of(error)}", address=address) from error
                raise NotYet(reason_of(error)) from error

        return self._wait.until(
            attempt, lambda missing: ClusterUnavailable(f"{failure} at {address}: {missing}", address=address)
        )


def _answer(future: Future[T]) -> T:
    return future.result(timeout=ASK_SECONDS + ANSWER_MARGIN_SECONDS)
