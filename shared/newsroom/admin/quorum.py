"""Who leads the cluster: the leader of KRaft's metadata quorum, which Kafka calls the active controller.

librdkafka's `describe_cluster` names any living broker as the controller of a KRaft cluster. It has no request for the
quorum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka.errors import KafkaError, UnsupportedVersionError

from newsroom.admin.inquirer import Inquirer
from newsroom.errors import ClusterUnavailable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from newsroom.settings import KafkaSettings
    from newsroom.waiting import Deadline

PAUSE_SECONDS = 0.05
"""The pause between two attempts of one question: kafka-python does not ask a broker that refused it any sooner."""
NO_LEADER = -1


@dataclass(frozen=True)
class Quorum:
    """The metadata quorum as its leader describes it. The epoch grows by at least one with every election."""

    leader_id: int
    epoch: int


class QuorumReader(Inquirer[Quorum]):
    """Asks one cluster for its quorum."""

    failure = "named no controller"

    def ask(self) -> Future[Quorum]:
        """The future answer: a `Quorum` or a `ClusterUnavailable`. Only one question runs at a time."""
        return self._ask(self._describe)

    def _describe(self, deadline: Deadline) -> Quorum:
        while True:
            try:
                return _quorum(self._connected().describe_metadata_quorum())
            except UnsupportedVersionError as error:
                raise ClusterUnavailable(
                    "the cluster cannot describe its metadata quorum (it is older than Kafka 3.3, or runs on ZooKeeper)"
                ) from error
            except KafkaError as error:
                # The broker may have died just now: ask the others within the same question.
                if not error.retriable or deadline.left() < self._step or self._closed.wait(PAUSE_SECONDS):
                    raise


def describe_quorum(settings: KafkaSettings, timeout_seconds: float) -> Quorum:
    """Ask once.

    Raises:
        ClusterUnavailable: the quorum has no leader, or no broker named it in time.
    """
    with QuorumReader(settings, timeout_seconds) as reader:
        try:
            return reader.ask().result(timeout_seconds)
        except TimeoutError as error:
            raise reader.failed(error) from error


def _quorum(answer: dict[str, Any]) -> Quorum:
    """Read the quorum from the answer, which has one topic with one partition.

    Raises:
        ClusterUnavailable: the partition has an error, or no leader.
    """
    partition = answer["topics"][0]["partitions"][0]
    if partition["error"] is not None:
        raise ClusterUnavailable(partition["error"])
    if partition["leader_id"] == NO_LEADER:
        raise ClusterUnavailable("the metadata quorum has no leader; an election is under way")
    return Quorum(partition["leader_id"], partition["leader_epoch"])
