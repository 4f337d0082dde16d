"""What is asked of a group's coordinator."""

from typing import Any
from unittest.mock import create_autospec

import pytest
from kafka import KafkaAdminClient, errors
from kafka.structs import TopicPartition

from newsroom.settings import KafkaSettings
from newsroom_stack.cluster import groups as module
from newsroom_stack.cluster.connection import Cluster
from newsroom_stack.cluster.groups import Groups
from newsroom_stack.errors import StackError


class Coordinators:
    """A client for each answer of the group's coordinator: a new client looks for the coordinator anew."""

    def __init__(self, *answers: type[errors.KafkaError]) -> None:
        self.left = list(answers)

    def connect(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - an autospec
        client = create_autospec(KafkaAdminClient, instance=True)
        answer = self.left.pop(0)
        client.delete_groups.return_value = [("readers", "OK" if answer is errors.NoError else answer.__name__)]
        client.alter_group_offsets.return_value = {TopicPartition("news", 0): answer}
        return client


def groups_with(monkeypatch: pytest.MonkeyPatch, *answers: type[errors.KafkaError]) -> tuple[Groups, Coordinators]:
    coordinators = Coordinators(*answers)
    monkeypatch.setattr("newsroom.admin.inquirer.KafkaAdminClient", coordinators.connect)
    monkeypatch.setattr(module, "MOVING_PAUSE_SECONDS", 0.001)
    return Groups(Cluster(KafkaSettings(bootstrap_servers="localhost:1"))), coordinators


@pytest.mark.parametrize("moving", module.MOVING)
def test_a_group_whose_coordinator_moves_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, moving: type[errors.KafkaError]
) -> None:
    groups, coordinators = groups_with(monkeypatch, moving, moving, errors.NoError)
    with groups:
        groups.delete("readers")
    assert coordinators.left == []
    groups, coordinators = groups_with(monkeypatch, moving, errors.NoError)
    with groups:
        groups.set_offsets("readers", {("news", 0): 7})
    assert coordinators.left == []


def test_what_a_coordinator_refuses_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, _ = groups_with(monkeypatch, errors.NonEmptyGroupError)
    with groups, pytest.raises(StackError, match="group readers could not be deleted: it has members again"):
        groups.delete("readers")


def test_a_coordinator_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOVING_SECONDS", 0.1)
    groups, _ = groups_with(monkeypatch, *[errors.NotCoordinatorError] * 1000)
    with groups, pytest.raises(StackError, match=r"readers could not be deleted at localhost:1: .*NotCoordinator"):
        groups.delete("readers")
