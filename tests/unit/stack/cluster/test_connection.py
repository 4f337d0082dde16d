"""A request to a cluster whose leaders change: it is made again; what waiting cannot change is said at once."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from newsroom.errors import LastingFailure
from newsroom.settings import KafkaSettings
from newsroom_stack.cluster import connection
from newsroom_stack.cluster.connection import Cluster
from newsroom_stack.errors import StackError


class Answers:
    """A request that fails with each of these codes in turn, then succeeds."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def __call__(self) -> str:
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return "done"


class Metadata:
    """An admin client that counts how often it reads the leaders."""

    def __init__(self) -> None:
        self.reads = 0

    def list_topics(self, timeout: float) -> None:
        assert timeout > 0
        self.reads += 1


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(KafkaSettings(bootstrap_servers="127.0.0.1:1", registry_url="mock://"))
    cluster.admin = Metadata()
    return cluster


def test_a_request_is_made_again_while_its_leader_changes(cluster: Cluster) -> None:
    request = Answers(KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
    assert cluster.repeated("records could not be deleted", request) == "done"
    assert cluster.admin.reads == 2, "the client reads the leaders again before each try"


def test_a_request_that_its_leader_never_takes_ends_with_the_reason(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ADMIN_SECONDS", 0.5)
    request = Answers(*[KafkaError.NOT_LEADER_FOR_PARTITION] * 1000)
    with pytest.raises(StackError, match=r"records could not be deleted at 127\.0\.0\.1:1: .*[Nn]ot leader"):
        cluster.repeated("records could not be deleted", request)


@pytest.mark.parametrize(
    ("code", "failure"),
    [(KafkaError.TOPIC_AUTHORIZATION_FAILED, LastingFailure), (KafkaError.OFFSET_OUT_OF_RANGE, StackError)],
)
def test_a_request_that_is_refused_is_not_made_again(cluster: Cluster, code: int, failure: type[Exception]) -> None:
    request = Answers(code, KafkaError.UNKNOWN)
    with pytest.raises(failure):
        cluster.repeated("records could not be deleted", request)
    assert request.codes == [KafkaError.UNKNOWN], "asked once"
