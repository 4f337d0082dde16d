"""The members that a replica was before leave its group, and no others."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from kafka import errors
from kafka.admin import MemberToRemove
from structlog.testing import capture_logs

from newsroom.admin import inquirer as inquiry
from newsroom.admin.members import MemberRemover
from newsroom.settings import KafkaSettings
from support.waiting import wait_for

NOW = "g-0-now"


class FakeGroup:
    """Stands for kafka-python's admin client of a cluster with one group."""

    def __init__(self) -> None:
        self.members = {NOW: "g-0", "g-0-old": "g-0", "g-1-other": "g-1"}
        self.error: str | None = None
        self.answer: type[Exception] = errors.NoError
        self.gate = threading.Event()
        self.gate.set()
        self.questions = 0

    def __call__(self, **_: Any) -> FakeGroup:  # noqa: ANN401
        return self

    def describe_groups(self, names: list[str]) -> dict[str, dict[str, Any]]:
        self.gate.wait(10)
        self.questions += 1
        described = [{"member_id": member, "client_id": client} for member, client in self.members.items()]
        return {names[0]: {"members": described, "error": self.error}}

    def remove_group_members(self, name: str, members: list[MemberToRemove]) -> dict[str, type[Exception]]:
        assert name == "g"
        for member in members:
            del self.members[member.member_id]
        return {member.member_id: self.answer for member in members}

    def close(self) -> None:
        pass


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> FakeGroup:
    fake = FakeGroup()
    monkeypatch.setattr(inquiry, "KafkaAdminClient", fake)
    return fake


def ask(remover: MemberRemover, member: str = NOW) -> list[dict[str, Any]]:
    """Remove all but the member, and return what was said of it."""
    with capture_logs() as lines:
        remover.remove_all_but(member)
        assert remover._answer is not None
        remover._answer.result(10)
    return [dict(line) for line in lines]


@pytest.fixture
def remover() -> MemberRemover:
    return MemberRemover(KafkaSettings(bootstrap_servers="b:9092"), "g", "g-0")


def test_a_former_member_is_removed_and_members_of_another_name_stay(group: FakeGroup, remover: MemberRemover) -> None:
    (line,) = ask(remover)
    assert group.members == {NOW: "g-0", "g-1-other": "g-1"}
    assert line["event"] == "a former member of this replica was removed from the group"
    assert line["member"] == "g-0-old"
    assert ask(remover) == []


def test_a_replica_that_the_coordinator_does_not_know_yet_removes_nobody(
    group: FakeGroup, remover: MemberRemover
) -> None:
    assert ask(remover, "g-0-newest") == []
    assert len(group.members) == 3


def test_a_member_that_left_meanwhile_is_no_problem(group: FakeGroup, remover: MemberRemover) -> None:
    group.answer = errors.UnknownMemberIdError
    assert [line["event"] for line in ask(remover)] == ["a former member of this replica was removed from the group"]


def test_a_refusal_is_told_once_and_the_next_look_asks_again(group: FakeGroup, remover: MemberRemover) -> None:
    group.error = "[Error 16] NotCoordinatorError"
    (line,) = [line for _ in range(3) for line in ask(remover)]
    assert line["event"] == "former members of this replica stay until their sessions end"
    assert line["why"] == "b:9092 did not take a replica's former members out of its group: " + group.error
    group.error = None
    ask(remover)
    assert "g-0-old" not in group.members


def test_a_denied_removal_names_the_right(group: FakeGroup, remover: MemberRemover) -> None:
    group.answer = errors.GroupAuthorizationFailedError
    (line,) = ask(remover)
    assert "may not READ group g at b:9092" in line["why"]


def test_one_removal_runs_at_a_time(group: FakeGroup, remover: MemberRemover) -> None:
    group.gate.clear()
    for _ in range(3):
        remover.remove_all_but(NOW)
    group.gate.set()
    wait_for("the removal", lambda: "g-0-old" not in group.members, 10)
    assert group.questions == 1
