"""The topics of a stream service before it starts: inputs must be there, its changelog is created as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.error import KafkaError

from newsroom.errors import ClusterUnavailable, StateLost, TopicMismatch
from newsroom.logs import get_logger
from newsroom.topics import MIN_INSYNC_REPLICAS
from newsroom.waiting import Deadline

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

LASTING_CODES = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_CONFIG,
    }
)
"""What waiting does not change. Too few brokers, a controller or coordinator that moves, and silence all pass."""


def await_topics(settings: StreamSettings, names: Sequence[str], stop: StopFlag) -> dict[str, Any]:
    """Wait for the cluster, and look the topics up: name to librdkafka's metadata (none when stopped).

    Raises:
        ClusterUnavailable: no broker answers within a minute.
        TopicMismatch: a topic does not exist.
    """
    admin = AdminClient(settings.client_config(f"{settings.consumer_group}-setup"))
    deadline = Deadline(CLUSTER_WAIT_SECONDS)
    while not stop:
        try:
            topics: dict[str, Any] = admin.list_topics(timeout=ASK_SECONDS).topics
        except KafkaException as error:
            if deadline.passed():
                raise ClusterUnavailable(
                    f"no broker at {settings.bootstrap_servers} answered within {deadline.seconds:.0f} s "
                    f"({error.args[0].str()}): is the cluster running?"
                ) from error
            log.warning("waiting for the cluster", brokers=settings.bootstrap_servers)
            stop.wait(RETRY_SECONDS)
            continue
        # One that is just being created is there without partitions.
        missing = [name for name in names if name not in topics or not topics[name].partitions]
        if not missing:
            return {name: topics[name] for name in names}
        if deadline.passed():
            raise TopicMismatch(f"topics {', '.join(missing)} do not exist: run 'provision' first")
        log.warning("waiting for topics", missing=missing)
        stop.wait(RETRY_SECONDS)
    return {}


def prepare_changelog(
    settings: StreamSettings, changelog: Changelog, sources: dict[str, Any], stop: StopFlag
) -> str | None:
    """Create the changelog over `sources` (as `await_topics` gives them) unless it exists; its id, as Kafka writes it.

    None when stopped. Quix would create it without `min.insync.replicas`; it takes an existing one as it is.

    Raises:
        ClusterUnavailable: the cluster did not answer, or did not create it, within a minute.
        StateLost: it is gone, but the group has read its inputs.
    """
    cluster = _Cluster(settings, stop)
    new = _as_it_should_be(changelog, sources)
    try:
        if cluster.described(changelog.topic) is None:
            # Only a first start finds no commits: the changelog is there before the first one. Of two replicas that
            # start at once the quicker may have made it and committed by now; the controller knows for certain.
            if cluster.has_commits(changelog.group, sources) and cluster.creates(new, only_ask=True):
                raise StateLost(
                    f"topic {changelog.topic}, which the state of group {changelog.group} is restored from, is gone, "
                    f"but the group has read {' and '.join(changelog.sources)}, and would go on with an empty state: "
                    f"{changelog.start_anew()}"
                )
            if cluster.creates(new):
                log.info("changelog created", topic=new.topic, replicas=new.replication_factor)
        return cluster.id_of(changelog.topic)
    except _StoppedError:
        return None


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


class _StoppedError(Exception):
    """The service is to stop before the question was answered."""


class _Cluster:
    """Questions to the cluster, each asked again until it is answered. All of them share one deadline."""

    def __init__(self, settings: StreamSettings, stop: StopFlag) -> None:
        self._settings = settings
        self._name = f"{settings.consumer_group}-setup"
        self._admin = AdminClient(settings.client_config(self._name))
        self._deadline = Deadline(CLUSTER_WAIT_SECONDS)
        self._stop = stop

    def described(self, name: str) -> Any | None:  # noqa: ANN401 - confluent-kafka is untyped
        """The topic; None when the broker that answers does not know it (and a broker may be a moment late)."""

        def ask() -> Any | None:  # noqa: ANN401
            try:
                return _answer(self._admin.describe_topics(TopicCollection([name]), request_timeout=ASK_SECONDS)[name])
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
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
                if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
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
            found = consumer.committed(partitions, timeout=ASK_SECONDS)
            for each in found:
                if each.error is not None:
                    raise KafkaException(each.error)
            # Zero is a group that was reset to the beginning; negative means no commit.
            return any(each.offset > 0 for each in found)

        try:
            return self._answered(ask, f"the commits of group {group} could not be read")
        finally:
            consumer.close()

    def id_of(self, name: str) -> str:
        """The topic's id, once each of its partitions has a leader."""
        while True:
            topic = self.described(name)
            if topic is not None and all(partition.leader is not None for partition in topic.partitions):
                # librdkafka writes it in base64 with '/'; Kafka's tools write it so, and it is a file's name.
                return str(topic.topic_id).replace("+", "-").replace("/", "_")
            if self._deadline.passed():
                raise ClusterUnavailable(
                    f"topic {name} has no leader after {self._deadline.seconds:.0f} s: are enough brokers up?"
                )
            self._pause()

    def _answered(self, ask: Callable[[], T], failure: str) -> T:
        while True:
            try:
                return ask()
            except (KafkaException, TimeoutError) as error:
                inner = error.args[0] if isinstance(error, KafkaException) else None
                why = inner.str() if inner is not None else f"no answer within {ASK_SECONDS:g} s"
                if self._deadline.passed() or (inner is not None and inner.code() in LASTING_CODES):
                    raise ClusterUnavailable(f"{failure} at {self._settings.bootstrap_servers}: {why}") from error
                log.warning("waiting for the cluster", failure=failure, answer=why)
            self._pause()

    def _pause(self) -> None:
        if self._stop.wait(RETRY_SECONDS):
            raise _StoppedError


def _answer(future: Future[T]) -> T:
    return future.result(timeout=ASK_SECONDS + ANSWER_MARGIN_SECONDS)
