from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
from kafka import KafkaAdminClient
from kafka.errors import ClusterAuthorizationFailedError, IncompatibleBrokerVersion, KafkaConnectionError, KafkaError
from pydantic import SecretStr

from newsroom.admin import inquirer as inquiry
from newsroom.admin.inquirer import client_config
from newsroom.admin.quorum import Quorum, QuorumReader, describe_quorum
from newsroom.errors import ClusterUnavailable
from newsroom.settings import KafkaSettings
from support.waiting import wait_for

SETTINGS = KafkaSettings(bootstrap_servers="b1:9092,b2:9092")


def an_answer(leader: int = 2, error: str | None = None) -> dict[str, Any]:
    partition = {"partition_index": 0, "leader_id": leader, "leader_epoch": 7, "error": error}
    return {"topics": [{"topic_name": "__cluster_metadata", "partitions": [partition]}]}


class FakeClients:
    """Stands for kafka-python's admin client: every call takes the next answer, or waits when none is left."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any] | Exception] = []
        self.made: list[dict[str, Any]] = []
        self.closed = threading.Event()
        self.open = 0

    def __call__(self, **config: Any) -> FakeClients:  # noqa: ANN401
        self.made.append(config)
        self.open += 1
        return self

    def describe_metadata_quorum(self) -> dict[str, Any]:
        if not self.answers:
            self.closed.wait(60)
            raise KafkaConnectionError("closed")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.open -= 1
        self.closed.set()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> FakeClients:
    fake = FakeClients()
    monkeypatch.setattr(inquiry, "KafkaAdminClient", fake)
    return fake


def failure(reader: QuorumReader, seconds: float = 5) -> str:
    error = reader.ask().exception(seconds)
    assert isinstance(error, ClusterUnavailable)
    return str(error)


def test_the_leader_and_its_epoch_over_one_connection(clients: FakeClients) -> None:
    clients.answers = [an_answer(2), an_answer(3)]
    with QuorumReader(SETTINGS, 1.0) as reader:
        assert [reader.ask().result(5) for _ in range(2)] == [Quorum(2, 7), Quorum(3, 7)]
        assert (len(clients.made), clients.open) == (1, 1)
    assert clients.open == 0


def test_a_lost_connection_is_tried_again_within_the_question(clients: FakeClients) -> None:
    clients.answers = [KafkaConnectionError("connection reset"), an_answer()]
    with QuorumReader(SETTINGS, 1.0) as reader:
        assert reader.ask().result(5) == Quorum(2, 7)
    assert len(clients.made) == 1


def test_a_failure_is_followed_by_a_new_connection(clients: FakeClients) -> None:
    clients.answers = [KafkaError("broken"), an_answer()]
    with QuorumReader(SETTINGS, 1.0) as reader:
        assert failure(reader) == "b1:9092,b2:9092 named no controller: KafkaError: broken"
        assert clients.open == 0
        assert reader.ask().result(5) == Quorum(2, 7)
    assert len(clients.made) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ClusterAuthorizationFailedError(), "may not DESCRIBE cluster at"),
        (IncompatibleBrokerVersion(), "cannot describe its metadata quorum"),
        (an_answer(error="NotLeaderOrFollowerError"), "NotLeaderOrFollowerError"),
        (an_answer(leader=-1), "no leader; an election is under way"),
        (RuntimeError("NetworkSelector closed!"), "NetworkSelector closed!"),
        ({"topics": []}, "list index out of range"),
    ],
)
def test_no_leader_has_its_reason(clients: FakeClients, answer: dict[str, Any] | Exception, reason: str) -> None:
    clients.answers = [answer]
    with QuorumReader(SETTINGS, 0.2) as reader:
        assert reason in failure(reader)


def test_a_question_under_way_is_not_asked_twice_and_ends_with_the_reader(clients: FakeClients) -> None:
    reader = QuorumReader(SETTINGS, 5.0)
    answer = reader.ask()
    assert reader.ask() is answer
    wait_for("a connection", lambda: clients.made)
    reader.close()
    assert isinstance(answer.exception(0), ClusterUnavailable)
    assert clients.open == 0


@pytest.fixture
def silent_broker() -> Iterator[str]:
    """A listener that takes connections and never says anything, as a stopped process does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_broker_that_hangs_is_given_up_and_leaves_no_thread(
    silent_broker: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ClusterUnavailable, match=rf"{silent_broker} named no controller: no answer within 0\.4 s"):
        describe_quorum(KafkaSettings(bootstrap_servers=silent_broker), 0.4)
    assert not caplog.records
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(("kafka-call", "kafka-io"))]
    for thread in threads:
        thread.join(1)
        assert not thread.is_alive()


def test_the_settings_reach_the_client() -> None:
    assert client_config(SETTINGS).keys() <= KafkaAdminClient.DEFAULT_CONFIG.keys()
    assert client_config(SETTINGS)["bootstrap_servers"] == "b1:9092,b2:9092"
    secured = client_config(
        KafkaSettings(
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="me",
            sasl_password=SecretStr("secret"),
            ssl_ca_location=Path(certifi.where()),
        )
    )
    assert secured.keys() <= KafkaAdminClient.DEFAULT_CONFIG.keys()
    assert secured["security_protocol"] == "SASL_SSL"
    assert secured["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (secured["sasl_plain_username"], secured["sasl_plain_password"]) == ("me", "secret")
    assert secured["ssl_cafile"] == certifi.where()


def test_the_library_logs_nothing_of_its_own() -> None:
    QuorumReader(SETTINGS, 1.0)
    assert not logging.getLogger("kafka.net.manager").isEnabledFor(logging.ERROR)
