"""One cluster, ours or someone else's, as the `NEWSROOM_…` settings or the command's options name it."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from pydantic import ValidationError

from newsroom.access import Access, Right
from newsroom.errors import NotYet
from newsroom.kafka_errors import is_unreachable, kafka_error, reason_of
from newsroom.rights import check_rights
from newsroom.settings import KafkaSettings
from newsroom_stack.errors import StackError
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

T = TypeVar("T")

CLIENT = "newsroom"

CONNECT_SECONDS = 10.0
"""How long the first answer of a broker may take."""

METADATA_SECONDS = 2.0
ADMIN_SECONDS = 15.0
"""The timeout of a request to the cluster, once a broker has answered."""

PAUSE_SECONDS = 0.2

CLIENT_LOG = logging.getLogger("librdkafka")
"""What the clients log: nothing, since each error comes as a sentence. Without a handler Python would print it."""
CLIENT_LOG.addHandler(logging.NullHandler())

Place = tuple[str, int]
"""A topic and the number of a partition."""


def load_connection(bootstrap: str | None = None, registry: str | None = None) -> KafkaSettings:
    """The settings of the connection: the options, else the variables that every service reads, else the own stack.

    Raises:
        StackError: the settings are wrong or contradict each other.
    """
    given = {"bootstrap_servers": bootstrap, "registry_url": registry}
    try:
        return KafkaSettings(_env_ignore_empty=True, **{name: value for name, value in given.items() if value})  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise StackError(f"the settings of the connection are wrong: {problems}") from error


class Cluster:
    """The brokers of a cluster. Every method that asks them raises a sentence if they do not answer or refuse."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.address = settings.bootstrap_servers
        config = settings.client_config(CLIENT)
        self.access = Access(config)
        self.quiet = {"error_cb": self.access.note, "log_level": 0}
        """Parameters of every client: what it would log goes to `access`."""
        try:
            self.admin = AdminClient(config | self.quiet, logger=CLIENT_LOG)
        except KafkaException as error:
            raise StackError(f"the Kafka client refuses its settings: {reason_of(error)}") from error
        self._metadata: Any = None

    def topics(self) -> dict[str, list[int]]:
        """Every topic with the numbers of its partitions.

        Raises:
            StackError: no broker answers in time.
            LastingFailure: waiting does not help.
        """
        if self._metadata is None:
            self._metadata = wait_until(
                self._ask,
                CONNECT_SECONDS,
                lambda missing: StackError(
                    f"no broker answers at {self.address} within {CONNECT_SECONDS:g} s ({missing}): start the stack "
                    "with 'newsroom up', or name another cluster with --bootstrap-servers"
                ),
                pause=PAUSE_SECONDS,
            )
        return {name: sorted(topic.partitions) for name, topic in self._metadata.topics.items()}

    def _ask(self) -> Any:  # noqa: ANN401 - confluent-kafka is untyped
        try:
            metadata = self.admin.list_topics(timeout=METADATA_SECONDS)
        except KafkaException as error:
            self.admin.poll(0)  # runs the error callback, which notes the cause
            self.access.no_answer()
            raise NotYet(reason_of(error)) from error
        self.access.check_advertised(metadata)
        return metadata

    def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic.

        Raises:
            StackError: there is no such topic.
        """
        partitions = self.topics().get(topic)
        if not partitions:
            raise StackError(
                f"there is no topic {topic} at {self.address}{self.or_hidden(Right('DESCRIBE', 'topic', topic))}: "
                "'newsroom kafka topics --list' lists them"
            )
        return partitions

    def or_hidden(self, right: Right) -> str:
        """The clause that what is not there may be hidden: brokers do not name what a user may not describe."""
        who = self.access.principal
        return f" that {who} may {right.operation}" if who.startswith("User:") else ""

    def check_visible(self, topic: str) -> None:
        """Check that this user would see a topic if it were there.

        Raises:
            LastingFailure: the user may not describe it.
            StackError: the cluster does not answer.
        """

        def request() -> None:
            try:
                self.admin.describe_topics(TopicCollection([topic]), request_timeout=ADMIN_SECONDS)[topic].result(
                    ADMIN_SECONDS
                )
            except KafkaException as error:
                if kafka_error(error).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise

        self.repeated(f"topic {topic} could not be looked for", request, Right("DESCRIBE", "topic", topic))

    def begins(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset of the oldest record of each partition."""
        return self.offsets(dict.fromkeys(places, OffsetSpec.earliest()))

    def ends(self, places: Iterable[Place], *, committed: bool = False) -> dict[Place, int]:
        """The next offset of each partition; with `committed` where a read_committed reader stops."""
        return self.offsets(dict.fromkeys(places, OffsetSpec.latest()), committed=committed)

    def check_rights(self, rights: Sequence[Right]) -> None:
        """Compare these rights on topics with what the brokers say that this user may do.

        Raises:
            LastingFailure: a right is missing.
            StackError: the cluster does not answer.
        """
        access = Access(self.settings.client_config(CLIENT), *rights)
        names = list(dict.fromkeys(right.name for right in rights))

        def attempt() -> None:
            check_rights(self.admin, access, names)

        late = f"the rights on {', '.join(names)} could not be read at {self.address}"
        wait_until(attempt, ADMIN_SECONDS, lambda missing: StackError(f"{late}: {missing}"), pause=PAUSE_SECONDS)

    def offsets(self, specs: Mapping[Place, Any], *, committed: bool = False) -> dict[Place, int]:
        """The offsets that these specifications mean now; -1 where no record is as young as a time.

        Raises:
            StackError: a leader did not answer.
        """
        if not specs:
            return {}
        isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        question = {TopicPartition(*place): spec for place, spec in specs.items()}

        def request() -> dict[Place, Any]:
            answers = self.admin.list_offsets(question, isolation_level=isolation, request_timeout=ADMIN_SECONDS)
            ends = {(part.topic, part.partition): answer.result(ADMIN_SECONDS) for part, answer in answers.items()}
            # If a leader vanishes during the request, librdkafka returns -1001 and no error.
            if silent := sorted(
                f"{topic} partition {number}" for (topic, number), end in ends.items() if end.offset < -1
            ):
                raise NotYet(f"the leader of {', '.join(silent)} did not answer")
            return ends

        rights = [Right("DESCRIBE", "topic", topic) for topic in sorted({topic for topic, _ in specs})]
        ends = self.repeated("the offsets could not be read", request, *rights)
        return {place: end.offset for place, end in ends.items()}

    def repeated(self, what: str, request: Callable[[], T], *rights: Right) -> T:
        """The answer to a request that may be made twice: it is made again while a leader or coordinator changes.

        `rights` are those that it needs.

        Raises:
            StackError: the cluster did not do it, within `ADMIN_SECONDS` from the first request.
            LastingFailure: a right is missing, or the login or certificate is wrong.
        """

        def attempt() -> T:
            with self.spoken(what, *rights):
                try:
                    return request()
                except NotYet:
                    self._learn_leaders()
                    raise
                except KafkaException as error:
                    if not is_unreachable(kafka_error(error)):
                        raise
                    self._learn_leaders()
                    raise NotYet(reason_of(error)) from error

        late = f"{what} at {self.address}"
        return wait_until(attempt, ADMIN_SECONDS, lambda missing: StackError(f"{late}: {missing}"), pause=PAUSE_SECONDS)

    def _learn_leaders(self) -> None:
        """Read the leaders again: a request that they refuse does not make librdkafka's admin client do it."""
        with suppress(KafkaException):  # the request that is made again tells the cause
            self.admin.list_topics(timeout=METADATA_SECONDS)

    @contextmanager
    def spoken(self, what: str, *rights: Right) -> Iterator[None]:
        """Turn an error of the client into a sentence that says what failed, and what to do.

        `rights` are those that the request needs.

        Raises:
            StackError: the cluster did not do it.
            LastingFailure: a right is missing, or the login or certificate is wrong.
        """
        try:
            yield
        except KafkaException as error:
            self.access.raise_lasting(error, *rights)
            raise StackError(f"{what} at {self.address}: {reason_of(error)}") from error
        except TimeoutError as error:
            raise StackError(f"{what} at {self.address}: no answer within {ADMIN_SECONDS:g} s") from error
