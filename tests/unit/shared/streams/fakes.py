"""A cluster of fakes, as a stream service asks it before its start."""

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_INVALID, KafkaException, TopicPartition, Uuid
from confluent_kafka.admin import AclOperation
from confluent_kafka.error import KafkaError

from newsroom.access import Access, Right
from newsroom.streams.changelog import Changelog
from newsroom.streams.cluster import Cluster, patience
from newsroom.streams.internal_topics import prepare_changelog
from newsroom.streams.settings import StreamSettings
from newsroom.waiting import StopFlag
from support.futures import done

SOURCES = {
    "word-deltas": SimpleNamespace(partitions={number: SimpleNamespace(replicas=[1, 2, 3]) for number in range(6)})
}
TWO_PARTITIONS = SimpleNamespace(partitions={0: None, 1: None})
CHANGELOG = Changelog("g", ("word-deltas",))
RIGHTS = (
    *(Right("READ", "topic", name) for name in ("news", CHANGELOG.topic)),
    *(Right("WRITE", "topic", name) for name in ("word-counts", CHANGELOG.topic)),
    Right("READ", "group", "g"),
)
WITH_SLASHES = Uuid(-1, -1)  # in base64 all its characters are '/'
AS_KAFKA_WRITES_IT = "_" * 21 + "w"


def failed(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


class FakeCluster:
    """AdminClient and Consumer of one cluster, which knows some topics and commits."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.access = Access(settings.client_config("g"), *RIGHTS)
        self.allowed = {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
        self.topics: set[str] = set()
        self.commits: dict[int, int] = {}
        self.leaderless = 0
        self.failures: list[Exception] = []
        self.silent = False
        self.seconds = 60.0
        """How long the start may take."""
        self.outages = 0
        """How many of the next requests for metadata fail."""
        self.questions = 0
        """How many other requests were made of the cluster."""
        self.made: list[Any] = []
        self.said: dict[int, str] = {}
        """The metadata of the commits."""
        self.asked_for_commits: Callable[[], None] = lambda: None
        self.consumers: list[dict[str, Any]] = []

    def prepared(self, stop: StopFlag | None = None) -> str:
        """The id of the changelog, which is there now."""
        return prepare_changelog(self.prepare(stop), CHANGELOG, SOURCES)

    def prepare(self, stop: StopFlag | None = None) -> Cluster:
        """The requests that a service makes of it."""
        return Cluster(self.settings, self.access, patience(self.seconds, stop or StopFlag()))

    def list_topics(self, name: str = "", *, timeout: float) -> object:
        assert timeout <= 5
        self.outages -= 1
        if self.outages >= 0:
            raise failed(KafkaError._TRANSPORT)
        return SimpleNamespace(brokers={}, topics={name: SimpleNamespace(partitions={0: None, 1: None})})

    def poll(self, _: float) -> None:
        """Hand on log lines."""

    def _answer(self, answer: Callable[[], object]) -> Future[Any]:
        self.questions += 1
        if self.silent:
            return Future()
        if self.failures:
            return done(self.failures.pop(0))
        try:
            return done(answer())
        except KafkaException as error:
            return done(error)

    def describe_topics(
        self,
        collection: Any,  # noqa: ANN401
        *,
        request_timeout: float,
        include_authorized_operations: bool = False,
    ) -> dict[str, Future[Any]]:
        assert request_timeout <= 5
        operations = [AclOperation[name] for name in self.allowed]
        if include_authorized_operations:
            description = SimpleNamespace(authorized_operations=operations or None)
            return {name: self._answer(lambda: description) for name in collection.topic_names}
        (name,) = collection.topic_names

        def answer() -> object:
            if name not in self.topics:
                raise failed(KafkaError.UNKNOWN_TOPIC_OR_PART)
            self.leaderless -= 1
            leader = None if self.leaderless >= 0 else SimpleNamespace(id=1)
            return SimpleNamespace(topic_id=WITH_SLASHES, partitions=[SimpleNamespace(leader=leader)])

        return {name: self._answer(answer)}

    def create_topics(
        self, topics: list[Any], *, request_timeout: float, validate_only: bool = False
    ) -> dict[str, Future[Any]]:
        assert request_timeout <= 5
        (topic,) = topics

        def answer() -> None:
            if topic.topic in self.topics:
                raise failed(KafkaError.TOPIC_ALREADY_EXISTS)
            if not validate_only:
                self.topics.add(topic.topic)
                self.made.append(topic)

        return {topic.topic: self._answer(answer)}

    def consumer(self, config: dict[str, Any], **_: object) -> Any:  # noqa: ANN401
        self.consumers.append(config)
        return self

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout <= 5
        self.asked_for_commits()
        return [
            TopicPartition(
                partition.topic,
                partition.partition,
                self.commits.get(partition.partition, OFFSET_INVALID),
                self.said.get(partition.partition, ""),
            )
            for partition in partitions
        ]

    def close(self) -> None:
        self.consumers[-1]["closed"] = True

    def alter_consumer_group_offsets(self, requests: list[Any], *, request_timeout: float) -> dict[str, Future[Any]]:
        assert request_timeout <= 5
        (request,) = requests
        return {request.group_id: self._answer(lambda: self._altered(request))}

    def _altered(self, request: Any) -> Any:  # noqa: ANN401
        self.commits |= {part.partition: part.offset for part in request.topic_partitions}
        self.said.clear()
        return request
