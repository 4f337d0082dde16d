"""Reads the groups of a cluster broker by broker: each broker lists the groups that it coordinates.

librdkafka's admin client is not suitable for this in a cluster whose brokers come and go: see decision 5.
"""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import errors
from kafka.protocol.api_message import ApiMessage
from kafka.protocol.consumer import OffsetFetchRequest
from typing_extensions import override

from newsroom.access import Right
from newsroom.admin.inquirer import Inquirer, reason
from status_api import messages
from status_api.model import Group, GroupMember, GroupPartition, Key, Reason, one_line
from status_api.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    from kafka import KafkaAdminClient

    from newsroom.access import Access
    from newsroom.settings import KafkaSettings
    from newsroom.waiting import Deadline

MOST_AT_ONCE = 16
"""How many brokers are asked at the same time; the others wait for a free thread."""

OFFSET_FETCH_VERSION = 8
"""The first version that takes many groups in one request (Kafka 3.0). Later ones add members and topic ids."""

CONSUMER_PROTOCOLS = ("consumer", "")
"""The protocol types of consumer groups; a group that has only committed has the empty type. Connect's workers and
the schema registry form groups of other types."""

KIP_848 = "consumer"
"""The type of a group that uses the new protocol."""

OTHER_TYPES = ("share", "streams")
"""The types of groups that are listed as what they are, without members: share groups have no committed offsets."""

DEAD = "Dead"
"""The state in which a broker describes a group that it does not have."""

LIST_SECONDS = 2.0
"""How often a broker lists its groups: a new group is seen so soon. Listed groups are described in each round."""

REQUEST_SECONDS = 10.0
"""How long a request may take. The snapshot waits for less; the answer counts when it comes."""


class ConsumerGroupDescribeRequest(ApiMessage, load_json=messages):  # type: ignore[misc, call-arg]
    """Asks a coordinator about groups that use the new protocol."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=messages):  # type: ignore[misc, call-arg]
    """The coordinator's answer."""


GroupsByBroker = dict[int, list[Group] | Reason]
"""The groups that each broker coordinates, with a row for each commit; or the reason why they are not known."""


@dataclass
class _Question:
    """What one broker is being asked."""

    answer: Future[list[Group] | Reason]
    late: bool = False
    """Whether a round has ended without the answer."""


class GroupsReader(Inquirer[GroupsByBroker]):
    """Asks one cluster for all its groups.

    A broker that is late keeps its question: its answer counts in the round in which it comes. Nobody waits for it
    again in the meantime, and no broker's lateness costs another broker's groups.
    """

    failure = "listed no groups"
    request_seconds = REQUEST_SECONDS

    def __init__(self, settings: KafkaSettings, timeout_seconds: float) -> None:
        super().__init__(settings, timeout_seconds)
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="GroupsReader")
        self._questions: dict[int, _Question] = {}
        self._patience: dict[int, Patience] = defaultdict(partial(Patience, timeout_seconds))
        self._listings: dict[int, Listing] = {}
        self._brokers: set[int] = set()
        self._list_again_from = 0.0
        """A listing that is older does not count."""

    def ask(self, brokers: Sequence[int]) -> Future[GroupsByBroker]:
        """Start asking the brokers for their groups, and return the future answer."""
        return self._ask(partial(self._read, list(brokers)))

    def racks(self) -> dict[int, str | None]:
        """The rack of each broker that the client knows: librdkafka's metadata does not have them."""
        client = self._client
        brokers = client._manager.cluster.brokers() if client is not None else ()  # noqa: SLF001 - as in `_send`
        return {broker.node_id: broker.rack for broker in brokers}

    @override
    def close(self) -> None:
        super().close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, brokers: list[int], _: Deadline) -> GroupsByBroker:
        if not brokers:
            return {}
        client = self._connected()
        if set(brokers) != self._brokers:
            self._brokers = set(brokers)
            self._list_again_from = time.monotonic()  # groups move when brokers come and go
        self._questions = {broker: question for broker, question in self._questions.items() if broker in brokers}
        for broker in brokers:
            if broker not in self._questions:
                answer = self._pool.submit(self._groups_of, client, broker)
                self._questions[broker] = _Question(answer)
        punctual = [broker for broker in brokers if not self._questions[broker].late]
        seconds = max((self._patience[broker].seconds for broker in punctual), default=0.0)
        wait([self._questions[broker].answer for broker in punctual], seconds)
        listing = {broker: self._answer_of(broker) for broker in brokers}
        if not self._questions and all(isinstance(groups, str) for groups in listing.values()):
            self._drop()  # the addresses that the client knows may all be out of date
        return listing

    def _answer_of(self, broker: int) -> list[Group] | Reason:
        question = self._questions[broker]
        if not question.answer.done():
            question.late = True
            return reason(TimeoutError(), self._patience[broker].seconds)
        del self._questions[broker]
        return question.answer.result()

    def _groups_of(self, client: KafkaAdminClient, broker: int) -> list[Group] | Reason:
        """Return every group that this broker coordinates, or the reason why it cannot."""
        started = time.monotonic()
        try:
            _learn(client, broker)
            listing = self._listing(client, broker)
            groups = [*_classic(client, broker, listing.classic), *_kip_848(client, broker, listing.new)]
            groups = _with_commits(client, broker, groups, self._access)
            if any(group.state == DEAD or group.error is not None for group in groups):
                self._list_again_from = time.monotonic()  # the group may have moved to another broker, or be gone
        except Exception as error:  # noqa: BLE001 - an error of the library must affect this broker only
            return reason(error, time.monotonic() - started)
        self._patience[broker].took(time.monotonic() - started)
        others = [Group(group_id, state, protocol, coordinator=broker) for group_id, state, protocol in listing.others]
        return [group for group in groups if group.state != DEAD] + others

    def _listing(self, client: KafkaAdminClient, broker: int) -> Listing:
        last = self._listings.get(broker)
        due = max(time.monotonic() - LIST_SECONDS, self._list_again_from)
        if last is not None and last.at > due:
            return last
        try:
            self._listings[broker] = _list(client, broker)
        except errors.CoordinatorLoadInProgressError:
            # The broker takes over groups of another one. It goes on answering for those that it had.
            if last is None:
                raise
            return last
        return self._listings[broker]


@dataclass(frozen=True)
class Listing:
    """The groups that a broker coordinates, by what they are."""

    at: float
    classic: list[str]
    new: list[str]
    others: list[tuple[str, str, str]]
    """The share groups and the streams groups: id, state and type."""


def _list(client: KafkaAdminClient, broker: int) -> Listing:
    at = time.monotonic()
    classic: list[str] = []
    new: list[str] = []
    others: list[tuple[str, str, str]] = []
    for entry in client.list_groups([broker]):
        group_id, kind = entry["group_id"], str(entry.get("group_type", "")).lower()
        if kind in OTHER_TYPES:
            others.append((group_id, entry["group_state"], kind))
        elif entry["protocol_type"] in CONSUMER_PROTOCOLS:
            (new if kind == KIP_848 else classic).append(group_id)
    return Listing(at, classic, new, others)


def _learn(client: KafkaAdminClient, broker: int) -> None:
    """Make the client learn of a broker that its last metadata lacked; by itself it asks again after five minutes."""
    manager = client._manager  # noqa: SLF001 - as in `_send`
    if manager.cluster.broker_metadata(broker) is None:
        manager.run(manager.cluster.refresh_metadata)


def _classic(client: KafkaAdminClient, broker: int, ids: list[str]) -> list[Group]:
    if not ids:
        return []
    descriptions = client.describe_groups(ids, group_coordinator_id=broker)
    return [
        Group(
            id=group_id,
            state=group["group_state"] or Group.state,
            protocol="classic",
            assignor=group["protocol_data"] or None,
            coordinator=broker,
            members=_sorted(
                GroupMember(
                    id=member["member_id"],
                    client_id=member["client_id"],
                    host=member["client_host"].removeprefix("/"),
                    instance_id=member["group_instance_id"],
                    assignment=_assigned(member["member_assignment"]),
                )
                for member in group["members"]
            ),
            # A denial is said with the commits, which the broker denies too.
            error=None if errors.GroupAuthorizationFailedError.__name__ in str(group["error"]) else group["error"],
        )
        for group_id, group in descriptions.items()
    ]


def _assigned(assignment: Any) -> tuple[Key, ...]:  # noqa: ANN401 - bytes if kafka-python cannot decode it
    topics = assignment["assigned_partitions"] if isinstance(assignment, dict) else ()
    return _keys((topic["topic"], topic["partitions"]) for topic in topics)


def _keys(topics: Iterable[tuple[str, list[int]]]) -> tuple[Key, ...]:
    return tuple(sorted((name, number) for name, numbers in topics for number in numbers))


def _kip_848(client: KafkaAdminClient, broker: int, ids: list[str]) -> list[Group]:
    if not ids:
        return []
    answer = _send(client, broker, ConsumerGroupDescribeRequest(group_ids=ids, include_authorized_operations=False))
    return [
        Group(
            id=group.group_id,
            state=group.group_state or Group.state,
            protocol=KIP_848,
            assignor=group.assignor_name or None,
            coordinator=broker,
            members=_sorted(
                GroupMember(
                    id=member.member_id,
                    client_id=member.client_id,
                    host=member.client_host.removeprefix("/"),
                    instance_id=member.instance_id,
                    assignment=_held(member.assignment),
                    target=_held(member.target_assignment),
                    epoch=member.member_epoch,
                )
                for member in group.members
            ),
            epoch=group.group_epoch,
            error=None if _denied(group.error_code) else _reason(group.error_code),
        )
        for group in answer.groups
    ]


def _held(assignment: Any) -> tuple[Key, ...]:  # noqa: ANN401 - kafka-python is untyped
    return _keys((part.topic_name, part.partitions) for part in assignment.topic_partitions)


def _with_commits(client: KafkaAdminClient, broker: int, groups: list[Group], access: Access) -> list[Group]:
    if not groups:
        return []
    queries = [OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group.id, topics=None) for group in groups]
    limits = {"min_version": OFFSET_FETCH_VERSION, "max_version": OFFSET_FETCH_VERSION}
    answer = _send(client, broker, OffsetFetchRequest(groups=queries, **limits))
    commits = {group.group_id: group for group in answer.groups}
    return [_with_group_commits(group, commits.get(group.id), access) for group in groups]


def _with_group_commits(group: Group, commits: Any, access: Access) -> Group:  # noqa: ANN401 - kafka-python is untyped
    if commits is None or commits.error_code:
        error = "the broker did not return its commits" if commits is None else _reason(commits.error_code)
        if commits is not None and _denied(commits.error_code):
            error = str(access.denied([Right("DESCRIBE", "group", group.id)]))
        return replace(group, error=one_line(group.error, error))
    rows, problems = [], []
    for topic in commits.topics:
        for partition in topic.partitions:
            number = partition.partition_index
            if partition.error_code:
                denied = _denied(partition.error_code) and access.denied([Right("DESCRIBE", "topic", topic.name)])
                why = str(denied or _reason(partition.error_code))
                rows.append(GroupPartition(topic.name, number, error=why, commit_unknown=True))
                problems.append(f"{topic.name}[{number}]: {why}")
            elif partition.committed_offset >= 0:  # -1 means that nothing was committed
                rows.append(GroupPartition(topic.name, number, partition.committed_offset))
    return replace(group, partitions=tuple(rows), error=one_line(group.error, *problems))


def _send(client: KafkaAdminClient, broker: int, request: ApiMessage) -> Any:  # noqa: ANN401
    """Send to one broker a request for which the admin client has no method."""
    manager = client._manager  # noqa: SLF001 - the client has no public access to its connections

    async def ask() -> Any:  # noqa: ANN401
        return await manager.send(request, node_id=broker)

    return manager.run(ask)


def _reason(code: int) -> Reason | None:
    """Return the sentence for an error code of the protocol; None for 0."""
    kind = errors.for_code(code)
    if kind is errors.NoError:
        return None
    return f"{kind.message}: {kind.description}"


def _denied(code: int) -> bool:
    return issubclass(errors.for_code(code), errors.AuthorizationError)


def _sorted(members: Any) -> tuple[GroupMember, ...]:  # noqa: ANN401 - any iterable of members
    return tuple(sorted(members, key=lambda member: (member.client_id, member.id)))
