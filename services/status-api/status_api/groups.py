"""Reads the groups of a cluster broker by broker: each broker lists the groups that it coordinates.

librdkafka's admin client is not suitable for this in a cluster whose brokers come and go: see decision 5.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import errors
from kafka.protocol.api_message import ApiMessage
from kafka.protocol.consumer import OffsetFetchRequest

from newsroom.access import Right
from newsroom.admin.inquirer import Inquirer, reason
from status_api import messages
from status_api.model import Group, GroupMember, GroupPartition, Key, Reason, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    from kafka import KafkaAdminClient

    from newsroom.access import Access
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


class ConsumerGroupDescribeRequest(ApiMessage, load_json=messages):  # type: ignore[misc, call-arg]
    """Asks a coordinator about groups that use the new protocol."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=messages):  # type: ignore[misc, call-arg]
    """The coordinator's answer."""


GroupsByBroker = dict[int, list[Group] | Reason]
"""The groups that each broker coordinates, with a row for each commit; or the reason why they are not known."""


class GroupsReader(Inquirer[GroupsByBroker]):
    """Asks one cluster for all its consumer groups."""

    failure = "listed no groups"

    def ask(self, brokers: Sequence[int]) -> Future[GroupsByBroker]:
        """Start asking the brokers for their groups, and return the future answer.

        All brokers are asked at the same time, so that a broker that hangs delays only its own groups.
        """
        return self._ask(partial(self._read, list(brokers)))

    def racks(self) -> dict[int, str | None]:
        """The rack of each broker that the client knows: librdkafka's metadata does not have them."""
        client = self._client
        brokers = client._manager.cluster.brokers() if client is not None else ()  # noqa: SLF001 - as in `_send`
        return {broker.node_id: broker.rack for broker in brokers}

    def _read(self, brokers: list[int], deadline: Deadline) -> GroupsByBroker:
        if not brokers:
            return {}
        client = self._connected()
        pool = ThreadPoolExecutor(min(len(brokers), MOST_AT_ONCE), thread_name_prefix="GroupsReader")
        try:
            futures = {pool.submit(_groups_of, client, broker, deadline, self._access): broker for broker in brokers}
            answers, timeouts = wait(futures, deadline.left())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        listing: GroupsByBroker = {futures[future]: future.result() for future in answers}
        listing |= {futures[future]: reason(TimeoutError(), self._timeout) for future in timeouts}
        if all(isinstance(groups, str) for groups in listing.values()):
            self._drop()  # the addresses that the client knows may all be out of date
        return listing


def _groups_of(client: KafkaAdminClient, broker: int, deadline: Deadline, access: Access) -> list[Group] | Reason:
    """Return every consumer group that this broker coordinates, or the reason why it cannot."""
    try:
        _learn(client, broker)
        listing = [entry for entry in client.list_groups([broker]) if entry["protocol_type"] in CONSUMER_PROTOCOLS]
        new = [entry["group_id"] for entry in listing if entry.get("group_type") == KIP_848]
        classic = [entry["group_id"] for entry in listing if entry["group_id"] not in new]
        groups = [*_classic(client, broker, classic), *_kip_848(client, broker, new)]
        return _with_commits(client, broker, groups, access)
    except Exception as error:  # noqa: BLE001 - an error of the library must affect this broker only
        return reason(error, deadline.seconds)


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
                    assignment=_keys((part.topic_name, part.partitions) for part in member.assignment.topic_partitions),
                )
                for member in group.members
            ),
            error=None if _denied(group.error_code) else _reason(group.error_code),
        )
        for group in answer.groups
    ]


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
                problems.append(f"{topic.name}[{number}]: {denied or _reason(partition.error_code)}")
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
