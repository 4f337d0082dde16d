"""One replica of a stream service from start to end: identity, topics, changelog, application, loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom.access import Access, Right
from newsroom.errors import LastingFailure, TopicMismatch
from newsroom.health import Health, HealthServer
from newsroom.logs import get_logger
from newsroom.slots import take_slot
from newsroom.streams.changelog import Changelog, state_folder
from newsroom.streams.replica import NEEDS, identity
from newsroom.streams.topics import await_topics, denied_topics, forget_offsets, prepare_changelog
from newsroom.topic_watch import TopicWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from newsroom.streams.application import StreamApplication
    from newsroom.streams.settings import StreamSettings
    from newsroom.waiting import StopFlag

log = get_logger(__name__)


def run_stream(
    settings: StreamSettings,
    stop: StopFlag,
    *,
    reads: Sequence[str],
    writes: Sequence[str],
    stateful: Sequence[str],
    keyed: Sequence[str] = (),
    build: Callable[[StreamApplication], None],
    poll_seconds: float,
) -> None:
    """Run one replica until a signal stops it.

    The topics that it `reads` and `writes` must exist before it starts. `stateful` names the inputs of its stateful
    dataframe, whose store gets a changelog. Their partitions, and those of the outputs in `keyed`, must stay as they
    are. `build` adds the dataframes. A due commit may be late by up to `poll_seconds`.

    Raises:
        NewsroomError: the replica cannot continue; its open transaction was not committed.
        Stopped: a signal arrived while the replica waited for the cluster.
    """
    health = Health(*NEEDS)
    changelog = Changelog(settings.consumer_group, tuple(stateful))
    with HealthServer(health, settings.http_host, settings.http_port), take_slot(settings.state_dir) as slot:
        name = identity(settings, slot)
        log.info("replica", identity=name, slot=str(slot.folder))
        access = Access(settings.client_config(name), *rights(name, changelog, reads, writes))
        metadata = await_topics(settings, access, [*reads, *writes], stop)
        sources = {topic: metadata[topic] for topic in stateful}
        topic_id = prepare_changelog(settings, access, changelog, sources, stop)
        folder = state_folder(slot, topic_id)
        watch = TopicWatch(settings.client_config(f"{name}-watch"), {*reads, *writes}, (*stateful, *keyed))
        # Quix takes as much CPU time to import as the service up to here, which may still wait for its topics.
        from newsroom.streams.application import StreamApplication  # noqa: PLC0415
        from newsroom.streams.errors import translated_errors, translation  # noqa: PLC0415

        app = StreamApplication(
            settings, slot, folder, health, stop, rights=access.rights, poll_seconds=poll_seconds, watch=watch
        )

        def explain(error: BaseException) -> BaseException:
            translated = translation(error, changelog, folder, access)
            # A denied transaction does not say which of its topics is the cause.
            denied = denied_topics(settings, access) if isinstance(translated, LastingFailure) else None
            return denied or translated

        try:
            with translated_errors(explain):
                build(app)
                if not stop:
                    app.run_watched(explain)
        except TopicMismatch as error:
            if error.fields.get("recreated"):
                forget_offsets(settings, access, str(error.fields["topic"]))
            raise


def rights(name: str, changelog: Changelog, reads: Sequence[str], writes: Sequence[str]) -> tuple[Right, ...]:
    """What a replica with this transactional id must be allowed to do; Quix reads the settings of its inputs."""
    state = changelog.topic
    operations = {"READ": (*reads, state), "WRITE": (*writes, state), "DESCRIBE_CONFIGS": (*reads, state)}
    return (
        *(Right(operation, "topic", topic) for operation, topics in operations.items() for topic in topics),
        Right("READ", "group", changelog.group),
        Right("WRITE", "transactional-id", name),
    )
