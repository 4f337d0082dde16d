"""Groups read through a fake of kafka-python's client: both protocols, refusals, brokers that hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka.errors import (
    CoordinatorLoadInProgressError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    NotCoordinatorError,
    UnknownBrokerIdError,
)
from kafka.protocol.consumer import OffsetFetchRequest, OffsetFetchResponse

from newsroom.admin import inquirer as inquiry
from newsroom.errors import ClusterUnavailable
from newsroom.settings import KafkaSettings
from status_api.groups import ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupsReader
from status_api.model import Group, GroupMember, GroupPartition
from status_api.patience import MOST_SECONDS, Patience
from support.waiting import wait_for
from unit.status_api.fakes import commits

SETTINGS = KafkaSettings(bootstrap_servers="b1:9092")
GONE = NotCoordinatorError.errno
FORBIDDEN = GroupAuthorizationFailedError.errno


def entry(group_id: str, kind: str = "classic", protocol: str = "consumer") -> dict[str, Any]:
    return {"group_id": group_id, "protocol_type": protocol, "group_state": "Stable", "group_type": kind}


class FakeClient:
    """Two brokers with a group of each protocol on the first; brokers in `hanging` wait, those in `errors` raise.

    The messages are real ones, encoded and decoded.
    """

    def __init__(self) -> None:
        self.listing = {
            1: [entry("old"), entry("new", "consumer"), entry("workers", protocol="connect")],
            2: [entry("other")],
        }
        self.errors: dict[int, Exception] = {}
        self.refused: dict[str, int] = {}
        self.hanging: set[int] = set()
        self.states: dict[str, str] = {}
        self.made = 0
        self.listed: list[int] = []
        """The brokers that were asked to list their groups."""
        self.brokers = {1, 2}
        """Those of the client's last metadata."""
        self.closed = threading.Event()
        self.go_on = threading.Event()
        self._manager = self
        self.cluster = self

    def __call__(self, **_: Any) -> FakeClient:  # noqa: ANN401
        self.made += 1
        return self

    def broker_metadata(self, broker: int) -> int | None:
        return broker if broker in self.brokers else None

    async def refresh_metadata(self) -> None:
        self.brokers = set(self.listing)

    def list_groups(self, brokers: list[int]) -> list[dict[str, Any]]:
        (broker,) = brokers
        self.listed.append(broker)
        if broker not in self.brokers:
            raise UnknownBrokerIdError(broker)
        if broker in self.hanging:
            self.go_on.wait(20)
            if self.closed.is_set():
                raise KafkaConnectionError("closed")
        if broker in self.errors:
            raise self.errors[broker]
        return self.listing[broker]

    def describe_groups(self, ids: list[str], group_coordinator_id: int) -> dict[str, Any]:
        assert {group["group_id"] for group in self.listing[group_coordinator_id]} >= set(ids)
        partitions = [{"topic": "t", "partitions": [1, 0]}]
        member = {
            "member_id": "m",
            "client_id": "c",
            "client_host": "/10.0.0.1",
            "group_instance_id": "i",
            "member_assignment": {"assigned_partitions": partitions, "user_data": None},
        }
        joining = member | {"member_id": "joining", "member_assignment": b""}
        description = {"group_state": "Stable", "protocol_data": "range", "members": [member, joining], "error": None}
        return {name: description | {"group_state": self.states.get(name, "Stable")} for name in ids}

    def run(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401
        coroutine = ask()
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError

    async def send(self, request: Any, node_id: int) -> Any:  # noqa: ANN401
        if isinstance(request, ConsumerGroupDescribeRequest):
            answer, version = self.descriptions(request.group_ids), 1
        else:
            assert isinstance(request, OffsetFetchRequest)
            answer, version = self.commits([group.group_id for group in request.groups]), 8
        assert node_id in self.listing
        request.encode(version=version)
        return type(answer).decode(answer.encode(version=version), version=version)

    def descriptions(self, ids: list[str]) -> ConsumerGroupDescribeResponse:
        response = ConsumerGroupDescribeResponse
        topics = [response.DescribedGroup.Member.Assignment.TopicPartitions(topic_name="t", partitions=[2])]
        target = [response.DescribedGroup.Member.Assignment.TopicPartitions(topic_name="t", partitions=[3])]
        member = response.DescribedGroup.Member(
            member_id="n",
            client_id="c",
            client_host="/10.0.0.2",
            assignment=response.DescribedGroup.Member.Assignment(topic_partitions=topics),
            target_assignment=response.DescribedGroup.Member.Assignment(topic_partitions=target),
            member_epoch=4,
        )
        return response(
            groups=[
                response.DescribedGroup(
                    group_id=name,
                    group_state="Reconciling",
                    group_epoch=6,
                    assignor_name="uniform",
                    members=[member],
                )
                for name in ids
            ]
        )

    def commits(self, ids: list[str]) -> OffsetFetchResponse:
        group = OffsetFetchResponse.OffsetFetchResponseGroup
        topic = group.OffsetFetchResponseTopics
        partition = topic.OffsetFetchResponsePartitions
        partitions = [
            partition(partition_index=0, committed_offset=4),
            partition(partition_index=1, committed_offset=-1),
            partition(partition_index=2, committed_offset=-1, error_code=self.refused.get("t", 0)),
        ]
        return OffsetFetchResponse(
            groups=[
                group(
                    group_id=name, error_code=self.refused.get(name, 0), topics=[topic(name="t", partitions=partitions)]
                )
                for name in ids
            ]
        )

    def close(self) -> None:
        self.closed.set()
        self.go_on.set()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()
    monkeypatch.setattr(inquiry, "KafkaAdminClient", client)
    return client


@pytest.fixture
def reader(client: FakeClient) -> Iterator[GroupsReader]:
    assert client.made == 0
    with GroupsReader(SETTINGS, 20.0) as reader:
        yield reader


def by_id(answer: list[Group] | str) -> dict[str, Group]:
    assert not isinstance(answer, str), answer
    return {group.id: group for group in answer}


def test_groups_of_both_protocols_over_one_connection(client: FakeClient, reader: GroupsReader) -> None:
    for _ in range(2):
        answer = reader.ask([1, 2]).result(30)
    assert client.made == 1
    assert sorted(by_id(answer[2])) == ["other"]
    first = by_id(answer[1])
    assert sorted(first) == ["new", "old"]
    classic = GroupMember("m", "c", "10.0.0.1", "i", (("t", 0), ("t", 1)))
    rows = commits({("t", 0): 4})
    joining = GroupMember("joining", "c", "10.0.0.1", "i")
    assert first["old"] == Group("old", "Stable", "classic", "range", 1, (joining, classic), rows)
    member = GroupMember("n", "c", "10.0.0.2", None, (("t", 2),), target=(("t", 3),), epoch=4)
    assert first["new"] == Group("new", "Reconciling", "consumer", "uniform", 1, (member,), rows, epoch=6)
    assert reader.ask([]).result(30) == {}


def test_what_is_refused_spoils_only_itself(client: FakeClient, reader: GroupsReader) -> None:
    client.refused = {"new": FORBIDDEN, "t": GONE}
    first = by_id(reader.ask([1]).result(30)[1])
    assert first["new"].partitions == ()
    assert str(first["new"].error).startswith("this client (without login) may not DESCRIBE group new at b1:9092: add")
    assert first["new"].members
    refused = GroupPartition("t", 2, error=str(first["old"].error).partition(": ")[2], commit_unknown=True)
    assert first["old"].partitions == (*commits({("t", 0): 4}), refused)
    assert first["old"].committed is None, "a part of the sum is not known"
    assert str(first["old"].error).startswith("t[2]: NOT_COORDINATOR: ")


@pytest.mark.parametrize("error", [NotCoordinatorError(), KafkaConnectionError("reset"), RuntimeError("closed")])
def test_a_broker_that_fails_leaves_the_others_and_the_connection(
    client: FakeClient, reader: GroupsReader, error: Exception
) -> None:
    client.errors[1] = error
    answer = reader.ask([1, 2]).result(30)
    assert sorted(by_id(answer[2])) == ["other"]
    assert isinstance(answer[1], str)
    client.errors.clear()
    assert sorted(by_id(reader.ask([1, 2]).result(30)[1])) == ["new", "old"]
    assert client.made == 1


def test_after_no_broker_answered_another_client_is_made(client: FakeClient, reader: GroupsReader) -> None:
    client.errors = {1: KafkaConnectionError("reset"), 2: KafkaConnectionError("refused")}
    assert reader.ask([1, 2]).result(30) == {
        1: "no connection (KafkaConnectionError: reset)",
        2: "no connection (KafkaConnectionError: refused)",
    }
    client.errors.clear()
    assert sorted(by_id(reader.ask([2]).result(30)[2])) == ["other"]
    assert client.made == 2


def test_a_broker_that_the_last_metadata_lacked_is_looked_up(client: FakeClient, reader: GroupsReader) -> None:
    client.brokers = {1}
    assert sorted(by_id(reader.ask([1, 2]).result(30)[2])) == ["other"]
    assert client.made == 1


def test_a_broker_that_is_late_costs_nobody_elses_groups_and_counts_when_it_answers(client: FakeClient) -> None:
    client.hanging.add(1)
    with GroupsReader(SETTINGS, 0.5) as reader:
        answer = reader.ask([1, 2]).result(20)
        assert answer[1] == "no answer within 0.5 s"
        assert sorted(by_id(answer[2])) == ["other"]
        assert isinstance(reader.ask([1, 2]).result(20)[1], str)
        assert client.listed.count(1) == 1, "it is not asked again before it answers"
        client.go_on.set()
        assert wait_for("the late answer", lambda: not isinstance(reader.ask([1, 2]).result(20)[1], str), 20)


def test_after_a_slow_answer_a_broker_is_given_more_time() -> None:
    patience = Patience(1.2)
    assert patience.seconds == 1.2
    patience.took(0.9)
    assert patience.seconds == pytest.approx(2.7)
    patience.took(30)
    assert patience.seconds == MOST_SECONDS
    patience.took(0.1)
    assert patience.seconds == 1.2


def test_groups_are_listed_seldom_and_again_when_one_may_have_moved(client: FakeClient, reader: GroupsReader) -> None:
    for _ in range(3):
        reader.ask([1, 2]).result(30)
    assert sorted(client.listed) == [1, 2]
    client.refused = {"new": GONE}
    reader.ask([1, 2]).result(30)
    client.refused = {}
    reader.ask([1, 2]).result(30)
    assert client.listed.count(1) == 2
    reader.ask([1]).result(30)
    assert client.listed.count(1) == 3, "the brokers have changed"


def test_a_broker_that_takes_over_groups_goes_on_answering_for_its_own(
    client: FakeClient, reader: GroupsReader
) -> None:
    reader.ask([1, 2]).result(30)
    client.errors[2] = CoordinatorLoadInProgressError()
    assert sorted(by_id(reader.ask([2]).result(30)[2])) == ["other"]
    assert client.listed.count(2) == 2


def test_a_deleted_group_is_not_shown_and_the_listing_is_renewed(client: FakeClient, reader: GroupsReader) -> None:
    reader.ask([2]).result(30)
    client.states["other"] = "Dead"
    assert by_id(reader.ask([2]).result(30)[2]) == {}
    client.listing[2] = []
    reader.ask([2]).result(30)
    assert client.listed == [2, 2]


def test_share_and_streams_groups_are_listed_as_what_they_are(client: FakeClient, reader: GroupsReader) -> None:
    client.listing[2] = [entry("queue", "Share", "share"), entry("app", "Streams", "streams")]
    groups = by_id(reader.ask([2]).result(30)[2])
    assert groups["queue"] == Group("queue", "Stable", "share", coordinator=2)
    assert groups["app"] == Group("app", "Stable", "streams", coordinator=2)


def test_without_a_connection_the_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise KafkaConnectionError("no broker")

    monkeypatch.setattr(inquiry, "KafkaAdminClient", fails)
    with GroupsReader(SETTINGS, 0.4) as reader:
        error = reader.ask([1]).exception(5)
    assert isinstance(error, ClusterUnavailable)
    assert "b1:9092 listed no groups: " in str(error)
    assert "no broker" in str(error)
