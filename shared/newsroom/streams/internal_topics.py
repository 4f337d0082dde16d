"""The topics that belong to one group: its changelog, its dead letters and what its halves send each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import NewTopic

from newsroom.errors import StateLost
from newsroom.logs import get_logger
from newsroom.topics import DEAD_LETTERS, in_sync_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from newsroom.streams.changelog import Changelog
    from newsroom.streams.cluster import Cluster

log = get_logger(__name__)


def provide(cluster: Cluster, internal: Iterable[str], dead_letters: str, like: dict[str, Any]) -> None:
    """Create the group's own topics unless they exist, with the partitions and replicas of the topics `like`.

    Raises:
        ClusterUnavailable: the cluster did not answer, or did not create one, within a minute.
        LastingFailure: waiting does not help.
    """
    partitions = max(len(topic.partitions) for topic in like.values())
    shapes: list[tuple[str, int, dict[str, str]]] = [(name, partitions, {}) for name in internal]
    shapes.append((dead_letters, 1, dict(DEAD_LETTERS)))
    for name, number, config in shapes:
        if cluster.described(name) is None and cluster.creates(_topic(name, number, like, config)):
            log.info("internal topic created", topic=name, partitions=number)


def prepare_changelog(cluster: Cluster, changelog: Changelog, sources: dict[str, Any]) -> str:
    """Create the changelog unless it exists, and return its topic id; `sources` is what `await_topics` returns.

    Quix would create it without `min.insync.replicas`. It uses an existing one unchanged.

    Raises:
        ClusterUnavailable: the cluster did not answer, or did not create the changelog, within a minute.
        LastingFailure: waiting does not help.
        StateLost: the changelog is missing, but the group has committed offsets on its inputs.
        Stopped: a signal arrived.
    """
    partitions = max(len(topic.partitions) for topic in sources.values())
    new = _topic(changelog.topic, partitions, sources, {"cleanup.policy": "compact"})
    if cluster.described(changelog.topic) is None:
        # The changelog exists before the first commit. If another replica has just created it and committed, this
        # broker may not know it yet: the controller does. An offset of zero means that the group was reset.
        commits = cluster.committed(changelog.group, sources)
        if any(commit.offset > 0 for commit in commits) and cluster.creates(new, only_ask=True):
            raise StateLost(
                f"changelog {changelog.topic} is missing, but group {changelog.group} has committed offsets on "
                f"{' and '.join(changelog.sources)} and would continue with an empty state: {changelog.start_anew()}",
                topic=changelog.topic,
            )
        if cluster.creates(new):
            log.info("changelog created", topic=new.topic, replicas=new.replication_factor)
    return cluster.id_of(changelog.topic)


def _topic(name: str, partitions: int, like: dict[str, Any], config: dict[str, str]) -> NewTopic:
    replicas = max(len(topic.partitions[0].replicas) for topic in like.values())
    return NewTopic(
        name,
        num_partitions=partitions,
        replication_factor=replicas,
        config={"min.insync.replicas": str(in_sync_for(replicas)), **config},
    )
