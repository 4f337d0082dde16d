"""The groups of a cluster, asked broker by broker: each broker lists the groups that it coordinates.

librdkafka's admin client is not fit to ask about groups in a cluster whose brokers come and go: see decision 5.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kafka import errors
from kafka.protocol.api_message import ApiMessage
from kafka.protocol.consumer import OffsetFetchRequest
from typing_extensions import override

from newsroom.admin.inquirer import Inquirer, reason
from status_api import messages
from status_api.model import Group, Key, Member, joined

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from kafka import KafkaAdminClient

    from newsroom.waiting import Deadline

MOST_AT_ONCE = 16
"""Brokers asked side by side; more than these are asked in turns."""

OFFSET_FETCH_VERSION = 8
"""The first one that takes many groups in a request (Kafka 3.0); later ones are for members and topic ids."""

CONSUMER_PROTOCOLS = ("consumer", "")
"""Protocol types of consumer groups; that of a group which only ever committed is empty. Connect's workers and the
schema registry form groups of other types."""

KIP_848 = "consumer"
"""The group type of the new protocol."""

FORBIDDEN = "the cluster does not let this user read the group (the ACLs are DESCRIBE on group and topics)"


class ConsumerGroupDescribeRequest(ApiMessage, load_json=messages):  # type: ignore[misc, call-arg]
    """Asks a coordinator about groups of the new protocol."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=messages):  # type: ignore[misc, call-arg]
    """What it answers."""


@dataclass(frozen=True)
class FoundGroup:
    """A group as its coordinator sees it, without its progress, and its commits; None when they are not known."""

    group: Group
    committed: dict[Key, int] | None = None


class GroupsReader(Inquirer[dict[int, list[FoundGroup] | str]]):
    """Asks one cluster for all its consumer groups."""

    def ask(self, brokers: Sequence[int]) -> Future[dict[int, list[FoundGroup] | str]]:
        """The answer to come: of each broker the groups that it coordinates, or the sentence why they are not known.

        Brokers are asked side by side: one that hangs holds up its own groups alone.
        """
        return self._ask(partial(self._read, list(brokers)))

    @override
    def _failure(self, reason: str) -> str:
        return f"{self._settings.bootstrap_servers} listed no groups: {reason}"

    def _read(self, brokers: list[int], deadline: Deadline) -> dict[int, list[FoundGroup] | str]:
        if not brokers:
            return {}
        client = self._connected()
        pool = ThreadPoolExecutor(min(len(brokers), MOST_AT_ONCE), thread_name_prefix="GroupsReader")
        try:
            asked = {pool.submit(_groups_of, client, broker, deadline): broker for broker in brokers}
            answered, late = wait(asked, deadline.left())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        found: dict[int, list[FoundGroup] | str] = {asked[each]: each.result() for each in answered}
        found |= {asked[each]: reason(TimeoutError(), self._timeout) for each in late}
        if all(isinstance(answer, str) for answer in found.values()):
            self._drop()  # it may be the client: the brokers it knows may all have moved
        return found


def _groups_of(client: KafkaAdminClient, broker: int, deadline: Deadline) -> list[FoundGroup] | str:
    """Every consumer group that this broker coordinates."""
    try:
        listed = [item for item in client.list_groups([broker]) if item["protocol_type"] in CONSUMER_PROTOCOLS]
        new = [item["group_id"] for item in listed if item.get("group_type") == KIP_848]
        classic = [item["group_id"] for item in listed if item["group_id"] not in new]
        groups = [*_classic(client, broker, classic), *_kip_848(client, broker, new)]
        return _with_commits(client, broker, groups)
    except Exception as error:  # noqa: BLE001 - whatever the library raises is this broker's answer alone
        return reason(error, deadline.seconds)


def _classic(client: KafkaAdminClient, broker: int, ids: list[str]) -> list[Group]:
    if not ids:
        return []
    described = client.describe_groups(ids, group_coordinator_id=broker)
    return [
        Group(
            id=group_id,
            state=found["group_state"] or Group.state,
            protocol="classic",
            assignor=found["protocol_data"] or None,
            coordinator=broker,
            members=_sorted(
                Member(
                    id=member["member_id"],
                    client_id=member["client_id"],
                    host=member["client_host"].removeprefix("/"),
                    instance_id=member["group_instance_id"],
                    assignment=_assigned(member["member_assignment"]),
                )
                for member in found["members"]
            ),
            error=found["error"],
        )
        for group_id, found in described.items()
    ]


def _assigned(assignment: Any) -> tuple[Key, ...]:  # noqa: ANN401 - decoded where it could be, otherwise bytes
    topics = assignment["assigned_partitions"] if isinstance(assignment, dict) else ()
    return tuple(sorted((topic["topic"], number) for topic in topics for number in topic["partitions"]))


def _kip_848(client: KafkaAdminClient, broker: int, ids: list[str]) -> list[Group]:
    if not ids:
        return []
    answer = _send(client, broker, ConsumerGroupDescribeRequest(group_ids=ids, include_authorized_operations=False))
    return [
        Group(
            id=found.group_id,
            state=found.group_state or Group.state,
            protocol=KIP_848,
            assignor=found.assignor_name or None,
            coordinator=broker,
            members=_sorted(
                Member(
                    id=member.member_id,
                    client_id=member.client_id,
                    host=member.client_host.removeprefix("/"),
                    instance_id=member.instance_id,
                    assignment=tuple(
                        sorted(
                            (topic.topic_name, number)
                            for topic in member.assignment.topic_partitions
                            for number in topic.partitions
                        )
                    ),
                )
                for member in found.members
            ),
            error=_why(found.error_code),
        )
        for found in answer.groups
    ]


def _with_commits(client: KafkaAdminClient, broker: int, groups: list[Group]) -> list[FoundGroup]:
    if not groups:
        return []
    asked = [OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group.id, topics=None) for group in groups]
    limits = {"min_version": OFFSET_FETCH_VERSION, "max_version": OFFSET_FETCH_VERSION}
    answers = {
        found.group_id: found for found in _send(client, broker, OffsetFetchRequest(groups=asked, **limits)).groups
    }
    return [_found(group, answers.get(group.id)) for group in groups]


def _found(group: Group, answer: Any) -> FoundGroup:  # noqa: ANN401 - kafka-python is untyped
    if answer is None or answer.error_code:
        why = "its commits were not answered" if answer is None else _why(answer.error_code)
        return FoundGroup(replace(group, error=joined(group.error, why)))
    committed, problems = {}, []
    for topic in answer.topics:
        for each in topic.partitions:
            if each.error_code:
                problems.append(f"{topic.name}[{each.partition_index}]: {_why(each.error_code)}")
            elif each.committed_offset >= 0:  # -1 where nothing was committed
                committed[topic.name, each.partition_index] = each.committed_offset
    return FoundGroup(replace(group, error=joined(group.error, *problems)), committed)


def _send(client: KafkaAdminClient, broker: int, request: ApiMessage) -> Any:  # noqa: ANN401
    """Send a request that the admin client has no method for to one broker."""
    manager = client._manager  # noqa: SLF001 - it has no public door to its connections

    async def ask() -> Any:  # noqa: ANN401
        return await manager.send(request, node_id=broker)

    return manager.run(ask)


def _why(code: int) -> str | None:
    """The sentence for an error code of the protocol; None for 0."""
    kind = errors.for_code(code)
    if kind is errors.NoError:
        return None
    return FORBIDDEN if issubclass(kind, errors.AuthorizationError) else f"{kind.message}: {kind.description}"


def _sorted(members: Any) -> tuple[Member, ...]:  # noqa: ANN401 - any iterable of members
    return tuple(sorted(members, key=lambda member: (member.client_id, member.id)))
