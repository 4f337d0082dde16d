"""The provision job's edge to Kafka: waits, creates, looks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from newsroom.errors import ClusterUnavailable, NewsroomError
from newsroom.logs import get_logger
from provision.plan import FoundPartition, unsettled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from newsroom.topics import Topic
    from newsroom.waiting import Deadline, StopFlag

log = get_logger(__name__)

PAUSE_SECONDS = 0.25
"""Between two looks at the cluster: small beside the seconds that brokers and replicas take."""

REQUEST_SECONDS = 5.0
"""One request to the cluster; what fails is asked again until the job's deadline."""

METADATA_SECONDS = 2.0
"""One question for metadata: brokers that are there answer in milliseconds, and a signal is heard after it."""

SHORTEST_SECONDS = 0.1
"""At the deadline one last question is still asked properly."""

PASSING_CODES = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own codes begin with an underscore
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_CONTROLLER,
    }
)
"""What a controller that moves just now leads to; not all of it is called retriable."""

LISTED = 5
"""How many unsettled partitions a sentence names before it only counts them."""


class Cluster:
    """The cluster as the job sees it. Every wait ends at the job's one deadline, or at a signal."""

    def __init__(self, config: Mapping[str, Any], deadline: Deadline, stop: StopFlag) -> None:
        self._admin = AdminClient(dict(config), logger=logging.getLogger("librdkafka"))
        self._address = config["bootstrap.servers"]
        self._deadline = deadline
        self._stop = stop

    def wait_for_brokers(self, number: int) -> None:
        """Wait until `number` brokers are there.

        Raises:
            ClusterUnavailable: they are not before the deadline.
        """

        def lacking() -> str | None:
            # Whether they have a controller shows when topics are created: metadata does not tell it under KRaft.
            have = len(self._metadata().brokers)
            return f"{have} of {number} brokers are up" if have < number else None

        self._wait(lacking)

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
            self._wait(lambda: self._create(topics))

    def _create(self, topics: Sequence[Topic]) -> str | None:
        """None when the topics are there, otherwise what kept the cluster from creating one for now."""
        asked = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=topic.replication_factor,
                config=topic.full_config(),
            )
            for topic in topics
        ]
        seen = None
        for name, future in self._admin.create_topics(asked, request_timeout=REQUEST_SECONDS).items():
            try:
                future.result(REQUEST_SECONDS + 1)
            except TimeoutError:
                seen = f"topic {name} is not created yet (no answer within {REQUEST_SECONDS:g} s)"
            except KafkaException as error:
                reason = error.args[0]
                if reason.retriable() or reason.code() in PASSING_CODES:
                    seen = f"topic {name} is not created yet ({reason.str()})"
                elif reason.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise NewsroomError(
                        f"topic {name} cannot be created at {self._address}: {reason.str()}; correct the cause and "
                        "run provision again"
                    ) from error
        return seen

    def configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The configuration of each topic; a broker that has not heard of a new topic yet is asked again.

        Raises:
            ClusterUnavailable: the cluster does not tell before the deadline.
        """
        found: dict[str, dict[str, str]] = {}

        def lacking() -> None:
            found.update(self._configs(names))

        self._wait(lacking)
        return found

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
                f"the cluster does not tell the topics' configuration ({error.args[0].str()})"
            ) from error

    def wait_in_sync(self, names: Sequence[str]) -> dict[str, tuple[FoundPartition, ...]]:
        """Wait until every partition of the topics has a leader and all its replicas in sync; the topics as seen then.

        Asked again, another broker might not have heard of a new topic yet.

        Raises:
            ClusterUnavailable: that does not come before the deadline.
        """
        found: dict[str, tuple[FoundPartition, ...]] = {}

        def lacking() -> str | None:
            found.clear()
            found.update(self.topics())
            absent = [name for name in names if not found.get(name)]
            lagging = absent or unsettled({name: found[name] for name in names})
            more = f" and {len(lagging) - LISTED} more" if len(lagging) > LISTED else ""
            return f"not in sync: {', '.join(lagging[:LISTED])}{more}" if lagging else None

        self._wait(lacking)
        return found

    def _metadata(self) -> Any:  # noqa: ANN401 - the client ships no types
        try:
            seconds = max(SHORTEST_SECONDS, min(METADATA_SECONDS, self._deadline.left()))
            return self._admin.list_topics(timeout=seconds)
        except KafkaException as error:
            raise ClusterUnavailable(f"no broker answers ({error.args[0].str()})") from error

    def _wait(self, lacking: Callable[[], str | None]) -> None:
        told = ""
        while True:
            try:
                seen = lacking()
            except ClusterUnavailable as error:
                seen = str(error)
            if seen is None:
                return
            if seen != told:
                told = seen
                log.info("waiting for the cluster", seen=seen)
            if self._stop:
                raise NewsroomError(f"provision was stopped by a signal while {seen}; run it again")
            if self._deadline.passed():
                raise ClusterUnavailable(
                    f"the cluster at {self._address} is not ready after {self._deadline.seconds:g} s: {seen}; start "
                    "the missing brokers, or correct --bootstrap-servers or --brokers"
                )
            self._stop.wait(min(PAUSE_SECONDS, self._deadline.left()))
