"""Commands whose client knows leaders that lead no more, as after a broker's restart: they ask the new ones."""

import pytest
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition as Part

from newsroom.settings import KafkaSettings
from newsroom_audit.history import Ends
from newsroom_audit.reader import ClusterReader
from newsroom_stack.cluster.connection import Cluster
from newsroom_stack.cluster.letters import purge
from support.pipeline import ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(120)


TOPIC = "moved-leader"
PLACE = (TOPIC, 0)


def leader(cluster: Cluster) -> int:
    (partition,) = cluster.admin.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions.values()
    return int(partition.leader)


def move(pipeline: ProcessPipeline, cluster: Cluster, brokers: list[int]) -> None:
    """Give the partition to these brokers; returns when one of them leads."""
    admin = KafkaAdminClient(bootstrap_servers=pipeline.ports.bootstrap)
    admin.alter_partition_reassignments({Part(TOPIC, 0): brokers})
    admin.close()
    wait_for(f"a leader of {TOPIC} among {brokers}", lambda: leader(cluster) in brokers)


def test_offsets_are_read_and_records_deleted_at_the_new_leader(
    pipeline: ProcessPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KafkaSettings(bootstrap_servers=pipeline.ports.bootstrap)
    pipeline.create_topic(TOPIC)
    pipeline.send(TOPIC, [(None, b"a"), (None, b"b")])
    watcher, late_to_read, late_to_delete = Cluster(settings), Cluster(settings), Cluster(settings)
    with ClusterReader(settings) as reader:
        assert late_to_delete.ends([PLACE]) == late_to_read.ends([PLACE]) == {PLACE: 2}
        assert reader.ends(TOPIC) == {0: Ends(0, 2, 2)}
        partitions, first = reader.topics(), leader(watcher)
        move(pipeline, watcher, sorted({1, 2, 3} - {first}))
        purge(late_to_delete, {PLACE: 1})
        move(pipeline, watcher, [first])  # the leader that these two clients know, in another epoch
        assert late_to_read.ends([PLACE]) == {PLACE: 2}
        monkeypatch.setattr(reader, "topics", lambda: partitions)  # else it learns the epoch by chance
        assert reader.ends(TOPIC) == {0: Ends(1, 2, 2)}
