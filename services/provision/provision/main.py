"""The provision job: topics, the schema, the connector if Connect is distributed, groups that nobody uses any more.

It is safe to run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom.logs import get_logger
from newsroom.schemas.addresses import check_addresses
from newsroom.schemas.files import read_schema
from newsroom.topics import ALL_TOPICS
from newsroom.waiting import Deadline, Wait
from provision.cluster import Cluster
from provision.comparison import refuse_differences, summary
from provision.properties import read_connector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from newsroom.topics import DeclaredTopic
    from newsroom.waiting import StopFlag
    from provision.settings import ProvisionSettings

log = get_logger(__name__)

PAUSE_SECONDS = 0.25
"""The longest pause between two checks: much shorter than brokers, replicas and Connect take to get ready."""


def serve(settings: ProvisionSettings, stop: StopFlag) -> None:
    """Run the job once.

    Raises:
        TopicMismatch: an existing topic is not as declared.
        ClusterUnavailable: brokers or replicas are missing at the deadline.
        RegistryUnavailable: the registry does not answer before the deadline.
        LastingFailure: a right, a login, a certificate or an address is wrong.
        SchemaRefused: the schema is not compatible with the registered version.
        ConnectUnavailable: Connect does not answer, or does not run the connector, before the deadline.
        ConnectorRefused: Connect rejects the connector's configuration.
        ConnectorFailed: the connector or a task of it has failed.
    """
    # Read both files first, so that a wrong path fails at once and not after the wait for the cluster.
    schema = read_schema(settings.schema_path) if settings.registry else None
    if settings.registry:
        check_addresses(settings.registry_url)
    connector = read_connector(settings.connector_path) if settings.connect_url else None
    wait = Wait(Deadline(settings.timeout), stop, longest_pause=PAUSE_SECONDS)
    cluster = Cluster(settings.client_config("provision"), wait)
    provide_topics(cluster, settings.brokers, settings.declared_topics())
    if schema is not None:
        provide_subject(settings, schema, wait)
    if settings.connect_url and connector is not None:
        provide_connector(settings.connect_url, connector, wait, update=settings.update_connector)
    if settings.forget_groups:
        deleted = cluster.delete_empty_groups(settings.forget_groups)
        log.info("groups without members deleted", prefix=settings.forget_groups, number=len(deleted))


def provide_topics(cluster: Cluster, brokers: int, topics: Sequence[DeclaredTopic]) -> None:
    """Create the missing topics, check those with the pipeline's names, and wait until their replicas are in sync.

    It waits for so many brokers only if a topic is missing. An existing topic with a name of the user's own is theirs:
    its partitions and its configuration stay as they are.
    """
    cluster.wait_for_brokers(1)
    before = cluster.topics()
    if any(topic.name not in before for topic in topics):
        cluster.wait_for_brokers(brokers)
        before = cluster.topics()
    ours = {topic.name for topic in ALL_TOPICS}
    existing = [topic for topic in topics if topic.name in before and topic.name in ours]
    # Check before creating anything, so that the job does not change a cluster it refuses.
    refuse_differences(existing, before, cluster.configs([topic.name for topic in existing]))
    missing = [topic for topic in topics if topic.name not in before]
    cluster.create(missing)
    names = [topic.name for topic in topics]
    after = cluster.wait_in_sync(names, new=bool(missing))
    # Check again: a job with another declaration may have created the missing topics.
    checked = [*existing, *missing]
    refuse_differences(checked, after, cluster.configs([topic.name for topic in checked]))
    for topic in topics:
        log.info(summary(topic.name, after[topic.name], created=topic.name not in before))


def provide_subject(settings: ProvisionSettings, schema: Mapping[str, Any], wait: Wait) -> None:
    """Set the registry's compatibility and register the schema of news."""
    # Imported when the brokers have answered: the registry's client takes longer to import than Kafka's.
    from newsroom.schemas.registry import registry_client  # noqa: PLC0415
    from provision.subjects import COMPATIBILITY, set_up, wait_for_registry  # noqa: PLC0415

    registry = registry_client(settings, wait.stop)
    wait_for_registry(registry, settings.registry_url, wait)
    number = set_up(registry, settings.subject_name, schema)
    sentence = f"subject {settings.subject_name}: schema id {number}, compatibility {COMPATIBILITY}"
    log.info(sentence)


def provide_connector(url: str, connector: Mapping[str, str], wait: Wait, *, update: bool) -> None:
    """Create the connector if it is missing (with `update`, also change it), and wait until it runs."""
    from provision.connector import ConnectWorker, connect_client  # noqa: PLC0415 - as above

    with connect_client(url) as client:
        tasks = ConnectWorker(client, wait, update=update).provide(connector)
    sentence = f"connector {connector['name']}: running, {tasks} task{'' if tasks == 1 else 's'}"
    log.info(sentence)
