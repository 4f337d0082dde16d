"""The topics of a stream service before it starts: inputs must be there, its changelog is created as it should be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.error import KafkaError

from newsroom.errors import ClusterUnavailable, TopicMismatch
from newsroom.lifecycle import Deadline
from newsroom.logs import get_logger
from newsroom.topics import MIN_INSYNC_REPLICAS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsroom.lifecycle import StopFlag
    from newsroom.streams import StreamSettings

log = get_logger(__name__)

CLUSTER_WAIT_SECONDS = 60.0
"""A broker answers some ten seconds after its start; a whole cluster on a laptop takes up to a minute."""

ASK_SECONDS = 5.0
"""One question to the cluster; also how late a stop request may be noticed while waiting for it."""

RETRY_SECONDS = 0.5

STORE_NAME = "default"
"""Quix's name for the store behind `apply(stateful=True)`."""


def await_topics(settings: StreamSettings, names: Sequence[str], stop: StopFlag) -> dict[str, Any]:
    """Wait for the cluster, and look the topics up: name to librdkafka's metadata (none when stopped).

    Raises:
        ClusterUnavailable: no broker answers within a minute.
        TopicMismatch: a topic does not exist.
    """
    admin = AdminClient(settings.client_config(f"{settings.consumer_group}-setup"))
    deadline = Deadline(CLUSTER_WAIT_SECONDS)
    while not stop:
        try:
            topics: dict[str, Any] = admin.list_topics(timeout=ASK_SECONDS).topics
        except KafkaException as error:
            if deadline.passed():
                raise ClusterUnavailable(
                    f"no broker at {settings.bootstrap_servers} answered within {deadline.seconds:.0f} s "
                    f"({error.args[0].str()}): is the cluster running?"
                ) from error
            log.warning("waiting for the cluster", brokers=settings.bootstrap_servers)
            continue
        missing = [name for name in names if name not in topics]
        if not missing:
            return {name: topics[name] for name in names}
        if deadline.passed():
            raise TopicMismatch(f"topics {', '.join(missing)} do not exist: run 'provision' first")
        log.warning("waiting for topics", missing=missing)
        stop.wait(RETRY_SECONDS)
    return {}


def prepare_changelog(settings: StreamSettings, sources: dict[str, Any]) -> None:
    """Create the changelog topic of the store over `sources` (as `await_topics` gives them) unless it exists.

    Quix would create it without `min.insync.replicas`; it takes an existing one as it is.

    Raises:
        ClusterUnavailable: the cluster did not create it in time.
    """
    name = f"changelog__{settings.consumer_group}--{'--'.join(sorted(sources))}--{STORE_NAME}"
    replicas = max(len(topic.partitions[0].replicas) for topic in sources.values())
    new = NewTopic(
        name,
        num_partitions=max(len(topic.partitions) for topic in sources.values()),
        replication_factor=replicas,
        config={
            "cleanup.policy": "compact",
            "min.insync.replicas": str(min(MIN_INSYNC_REPLICAS, max(1, replicas - 1))),
        },
    )
    admin = AdminClient(settings.client_config(f"{settings.consumer_group}-setup"))
    try:
        admin.create_topics([new])[name].result(timeout=CLUSTER_WAIT_SECONDS)
        log.info("changelog created", topic=name, replicas=replicas)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise ClusterUnavailable(f"topic {name} could not be created: {error.args[0].str()}") from error
    _await_leaders(admin, name)


def _await_leaders(admin: AdminClient, name: str) -> None:
    deadline = Deadline(CLUSTER_WAIT_SECONDS)
    while not deadline.passed():
        try:
            topic = admin.describe_topics(TopicCollection([name]))[name].result(timeout=ASK_SECONDS)
            if all(partition.leader is not None for partition in topic.partitions):
                return
        except KafkaException as error:
            log.debug("topic is not there yet", topic=name, answer=error.args[0].str())
        time.sleep(min(RETRY_SECONDS, deadline.left()))
    raise ClusterUnavailable(f"topic {name} has no leader after {deadline.seconds:.0f} s: are enough brokers up?")
