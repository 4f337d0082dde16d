"""Waits for the topics of a stream service before it starts, and checks the rights on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException

from newsroom.errors import ClusterUnavailable, LastingFailure, NewsroomError, NotYet, TopicMismatch
from newsroom.kafka_errors import reason_of
from newsroom.rights import check_rights, rights_on
from newsroom.streams.cluster import METADATA_SECONDS, admin_client
from newsroom.waiting import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka.admin import AdminClient

    from newsroom.access import Access
    from newsroom.streams.settings import StreamSettings
    from newsroom.waiting import Wait


def await_topics(settings: StreamSettings, access: Access, names: Sequence[str], wait: Wait) -> dict[str, Any]:
    """Wait for the cluster and the topics, and check the rights on them.

    Returns librdkafka's metadata of each topic by name.

    Raises:
        ClusterUnavailable: no broker answers before the deadline.
        LastingFailure: waiting does not help.
        TopicMismatch: a topic does not exist at the deadline.
        Stopped: a signal arrived.
    """
    admin = admin_client(settings, access)
    error: type[NewsroomError] = ClusterUnavailable

    def attempt() -> dict[str, Any]:
        nonlocal error
        try:
            metadata = admin.list_topics(timeout=METADATA_SECONDS)
        except KafkaException as failure:
            admin.poll(0)  # runs the error callback, which notes the cause
            access.no_answer()
            error = ClusterUnavailable
            raise NotYet(
                f"no broker at {settings.bootstrap_servers} answers ({reason_of(failure)}): is the cluster running?"
            ) from failure
        error = TopicMismatch
        access.check_advertised(metadata)
        topics: dict[str, Any] = metadata.topics
        # The metadata of a topic that is just being created has no partitions yet.
        missing = [name for name in names if name not in topics or not topics[name].partitions]
        _check_describable(admin, access, missing)
        need(f"topics {', '.join(missing)} do not exist: run 'provision' first" if missing else None)
        check_rights(admin, access, names)
        return {name: topics[name] for name in names}

    return wait.until(attempt, lambda missing: error(f"{missing} (waited {wait.deadline.seconds:.0f} s)"))


def _check_describable(admin: AdminClient, access: Access, names: Sequence[str]) -> None:
    """Ask for each topic by its name: a broker leaves out what a user may not describe when it lists all topics.

    Raises:
        LastingFailure: the user may not describe one of them, which may exist or not.
    """
    for name in names:
        try:
            error = admin.list_topics(name, timeout=METADATA_SECONDS).topics[name].error
        except KafkaException as failure:
            raise NotYet(f"topic {name} could not be looked up ({reason_of(failure)})") from failure
        if error is not None:
            access.raise_lasting(error, *rights_on(access, name))


def denied_topics(settings: StreamSettings, access: Access) -> LastingFailure | None:
    """Which rights on topics are missing now; None if the broker names none."""
    names = [right.name for right in access.rights if right.kind == "topic"]
    try:
        check_rights(admin_client(settings, access), access, names)
    except LastingFailure as failure:
        return failure
    except NotYet:
        pass
    return None
