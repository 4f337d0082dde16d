"""Groups of every kind: what they are, what they have committed, and how their offsets are set or deleted.

kafka-python lists share and streams groups, and does not crash while coordinators move (decision 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import errors
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as Part

from newsroom.access import Right
from newsroom.admin.inquirer import Inquirer, reason
from newsroom.errors import NotYet
from newsroom.streams.claims import read_claim
from newsroom_stack.cluster.connection import ADMIN_SECONDS, Cluster, Place
from newsroom_stack.errors import StackError
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kafka import KafkaAdminClient

    from newsroom.waiting import Deadline

CLASSIC, CONSUMER, SHARE, STREAMS = "classic", "consumer", "share", "streams"
"""The types of groups, as Kafka names them; `consumer` is KIP-848."""

OTHER_TOOLS = {SHARE: "share-groups", STREAMS: "streams-groups"}
"""Kafka's own tools for the groups whose offsets are not set here."""

EMPTY = frozenset({"Empty", "Dead"})

MOVING = (errors.NotCoordinatorError, errors.CoordinatorNotAvailableError, errors.CoordinatorLoadInProgressError)
"""The group has another coordinator than the client remembers, or will have one soon."""

MOVING_SECONDS = 15.0
"""How long a group may have no coordinator."""
MOVING_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Group:
    """A group as its coordinator lists it."""

    name: str
    type: str
    protocol: str
    """`consumer`, `connect`, `share` …; empty for a group that has only committed."""
    state: str


@dataclass(frozen=True)
class Member:
    """A member of a group, and what it owns."""

    client: str
    host: str
    partitions: tuple[Place, ...]


@dataclass(frozen=True)
class Standing:
    """Where a group stands in a partition; `committed` is None without a commit."""

    topic: str
    partition: int
    committed: int | None
    end: int

    @property
    def lag(self) -> int | None:
        """Offsets between the commit and the end."""
        return None if self.committed is None else max(0, self.end - self.committed)


class Groups(Inquirer[Any]):
    """The groups of a cluster."""

    failure = "did not answer"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.settings, ADMIN_SECONDS)
        self.cluster = cluster

    def all(self) -> list[Group]:
        """Every group, by name.

        Raises:
            StackError: the brokers do not list them.
        """
        self.cluster.topics()  # says what is wrong with the connection
        listing = self._request("groups could not be listed", lambda client: client.list_groups())
        return sorted(
            (
                Group(
                    entry["group_id"],
                    str(entry.get("group_type") or CLASSIC).lower(),
                    entry["protocol_type"],
                    str(entry.get("group_state") or "Unknown"),
                )
                for entry in listing
            ),
            key=lambda group: group.name,
        )

    def find(self, name: str) -> Group | None:
        """The group of that name; None if there is none."""
        return next((group for group in self.all() if group.name == name), None)

    def get(self, name: str) -> Group:
        """The group of that name.

        Raises:
            StackError: there is none.
        """
        group = self.find(name)
        if group is None:
            hidden = self.cluster.or_hidden(Right("DESCRIBE", "group", name))
            raise StackError(
                f"there is no group {name} at {self.cluster.address}{hidden}: 'newsroom groups list' lists them"
            )
        return group

    def members(self, group: Group) -> list[Member]:
        """The members of a classic group or a KIP-848 group."""
        if group.type not in (CLASSIC, CONSUMER):
            return []

        def request() -> Any:  # noqa: ANN401 - confluent-kafka is untyped
            answer = self.cluster.admin.describe_consumer_groups([group.name], request_timeout=ADMIN_SECONDS)
            return answer[group.name].result(ADMIN_SECONDS)

        right = Right("DESCRIBE", "group", group.name)
        described = self.cluster.repeated(f"group {group.name} could not be described", request, right)
        return sorted(
            (
                Member(
                    member.client_id,
                    member.host.removeprefix("/"),
                    tuple(sorted((part.topic, part.partition) for part in member.assignment.topic_partitions)),
                )
                for member in described.members
            ),
            key=lambda member: member.client,
        )

    def check_right(self, operation: str, name: str) -> None:
        """Check that this user may do something with a group.

        Raises:
            LastingFailure: it may not.
            StackError: the coordinator does not answer.
        """

        def request() -> Any:  # noqa: ANN401 - confluent-kafka is untyped
            answer = self.cluster.admin.describe_consumer_groups(
                [name], include_authorized_operations=True, request_timeout=ADMIN_SECONDS
            )
            return answer[name].result(ADMIN_SECONDS)

        right = Right(operation, "group", name)
        described = self.cluster.repeated(f"group {name} could not be described", request, right)
        allowed = {entry.name for entry in described.authorized_operations or ()}
        if allowed and operation not in allowed:  # a broker that does not tell lists nothing
            raise self._access.denied([right])

    def committed(self, name: str) -> dict[Place, int]:
        """The committed offsets of a group.

        Raises:
            StackError: its coordinator does not answer.
        """
        return {place: commit.offset for place, commit in self._commits(name).items()}

    def outputs(self, name: str) -> set[str]:
        """The topics that a stream's commits say its group writes (decision 12); empty if they do not say it."""
        claims = (read_claim(commit.metadata) for commit in self._commits(name).values())
        return {topic for claim in claims if claim is not None for topic in claim.writes}

    def _commits(self, name: str) -> dict[Place, Any]:
        answer = self._request(
            f"the committed offsets of group {name} could not be read",
            lambda client: client.list_group_offsets([name]),
            Right("DESCRIBE", "group", name),
        )
        commits = sorted(answer.get(name, {}).items())
        return {(part.topic, part.partition): commit for part, commit in commits if commit.offset >= 0}

    def standings(self, name: str) -> list[Standing]:
        """Where a group stands in each partition that it has committed."""
        committed = self.committed(name)
        topics = self.cluster.topics()
        known = {place: offset for place, offset in committed.items() if place[1] in topics.get(place[0], ())}
        ends = self.cluster.ends(known)
        return [Standing(*place, offset, ends[place]) for place, offset in sorted(known.items())]

    def check_idle(self, name: str) -> Group | None:
        """Check that the offsets of a group can be changed; None if there is no such group yet.

        Raises:
            StackError: it has members, or is of a kind whose offsets are not committed offsets.
        """
        group = self.find(name)
        if group is None:
            return None
        if tool := OTHER_TOOLS.get(group.type):
            raise StackError(
                f"{name} is a {group.type} group, which keeps its offsets in its own way: use 'newsroom kafka {tool}'"
            )
        if group.state not in EMPTY:
            members = self.members(group)
            who = ", ".join(f"{member.client or 'a member'} at {member.host}" for member in members)
            raise StackError(
                f"group {name} has {len(members)} member{'s' if len(members) != 1 else ''} ({who or group.state}): "
                "stop them first, because a running member keeps its own position and commits over any other"
            )
        return group

    def set_offsets(self, name: str, offsets: Mapping[Place, int]) -> None:
        """Commit offsets in the name of a group without members.

        Raises:
            StackError: its coordinator refuses.
        """
        request = {Part(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}

        def call(client: KafkaAdminClient) -> None:
            for kind in client.alter_group_offsets(name, request).values():
                if kind is not errors.NoError:
                    raise kind

        topics = [Right("READ", "topic", topic) for topic in sorted({topic for topic, _ in offsets})]
        self._request(f"the offsets of group {name} could not be set", call, Right("READ", "group", name), *topics)

    def delete(self, name: str) -> None:
        """Delete a group without members, and with it its committed offsets.

        Raises:
            StackError: its coordinator refuses.
        """

        def call(client: KafkaAdminClient) -> None:
            answer = dict(client.delete_groups([name]))[name]
            if answer != "OK":
                raise getattr(errors, answer)

        self._request(f"group {name} could not be deleted", call, Right("DELETE", "group", name))

    def _request(self, what: str, call: Callable[[KafkaAdminClient], Any], *rights: Right) -> Any:  # noqa: ANN401
        def question(_: Deadline) -> Any:  # noqa: ANN401 - kafka-python is untyped
            return call(self._connected())

        def attempt() -> Any:  # noqa: ANN401 - as above
            try:
                return self._ask(question).result(ADMIN_SECONDS)
            except Exception as error:
                cause = error.__cause__ or error
                if isinstance(cause, MOVING):
                    raise NotYet(str(cause)) from error  # the failed client is gone, and with it what it remembered
                raise self._refusal(what, cause, *rights) from error

        late = f"{what} at {self.cluster.address}"
        return wait_until(
            attempt, MOVING_SECONDS, lambda missing: StackError(f"{late}: {missing}"), pause=MOVING_PAUSE_SECONDS
        )

    def _refusal(self, what: str, error: BaseException, *rights: Right) -> Exception:
        if isinstance(error, errors.AuthorizationError) and rights:
            kind = "topic" if isinstance(error, errors.TopicAuthorizationFailedError) else "group"
            return self._access.denied([right for right in rights if right.kind == kind])
        if isinstance(error, errors.NonEmptyGroupError | errors.UnknownMemberIdError):
            return StackError(f"{what}: it has members again, so stop them first")
        text = reason(error, ADMIN_SECONDS) if isinstance(error, Exception) else str(error)
        return StackError(f"{what} at {self.cluster.address}: {text}")
