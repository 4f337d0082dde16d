"""What committed offsets say before a stream service starts: whose its outputs are, and of which topics they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from newsroom.errors import NotYet, TopicMismatch, TopicTaken
from newsroom.kafka_errors import reason_of
from newsroom.logs import get_logger
from newsroom.streams.claims import PREFIX, changelog_owners, made_anew, outputs_of
from newsroom.waiting import Deadline, Wait

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from newsroom.streams.cluster import Cluster
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

RESET_SECONDS = 30.0
"""How long a start waits for other members of the group to leave, before it says that they must."""


def refuse_second_owner(cluster: Cluster, group: str, writes: Collection[str]) -> None:
    """Check that no other group says in its commits that it writes one of these topics.

    Raises:
        TopicTaken: another group does. One whose changelog or commits this user may not read is not seen.
        ClusterUnavailable: the cluster did not answer within a minute.
    """
    topics = cluster.topics()
    inputs = {name: topic for name, topic in topics.items() if not name.startswith((PREFIX, "__"))}
    owners = {other: sources for other, sources in changelog_owners(topics).items() if other != group}
    for other, commits in cluster.commits_of(owners, inputs).items():
        taken = sorted(outputs_of(commits, owners[other]).intersection(writes))
        if taken:
            raise TopicTaken(
                f"consumer group {other} writes {' and '.join(taken)}, so group {group} must not write there too: its "
                "results would be added to those, or replace them. Give this service topics of its own (see --help), "
                f"or use --consumer-group {other}; if nothing runs as {other} any more, delete that group "
                f"(kafka-consumer-groups --delete --group {other})",
                group=other,
                topic=taken[0],
            )


def forget_old_topics(
    cluster: Cluster, group: str, topics: Mapping[str, Any], ids: Mapping[str, str], stop: StopFlag
) -> None:
    """Begin at the beginning of each topic that was made anew while no replica ran: its offsets are the old one's.

    Raises:
        TopicMismatch: other members of the group hold the offsets.
        Stopped: a signal arrived.
    """

    def attempt() -> None:
        anew = made_anew(cluster.committed(group, topics), ids)
        if not anew:
            return
        try:
            cluster.forget(group, {name: topics[name] for name in anew})
        except (KafkaException, TimeoutError) as error:
            raise NotYet(f"{' and '.join(anew)} ({reason_of(error)})") from error
        log.warning(
            "topics were deleted and made anew while this service did not run: it reads them from their beginning",
            topics=anew,
            group=group,
        )

    Wait(Deadline(RESET_SECONDS), stop).until(
        attempt,
        lambda missing: TopicMismatch(
            f"topics were deleted and made anew, but the offsets of group {group} could not be set to their beginning: "
            f"{missing}; stop all its replicas and start them again"
        ),
    )


def forget_offsets(cluster: Cluster, group: str, topic: str, metadata: Any) -> None:  # noqa: ANN401 - untyped
    """Set the group's offsets of a topic that was made anew to its beginning; the last commit may be of the old one."""
    try:
        cluster.forget(group, {topic: metadata})
    except (KafkaException, TimeoutError) as error:
        # The cluster refuses this while the group has other members. Their commits say which topic they are of.
        log.warning(
            "the group's offsets of the new topic could not be reset now; the next start does it",
            group=group,
            topic=topic,
            error=reason_of(error),
        )
