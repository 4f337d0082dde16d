"""One replica of a stream service from start to end: identity, topics, changelog, application, loop."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from newsroom.access import Access, Right
from newsroom.errors import LastingFailure, TopicMismatch
from newsroom.health import Health, HealthServer
from newsroom.logs import get_logger
from newsroom.slots import take_slot
from newsroom.streams.changelog import Changelog, state_folder
from newsroom.streams.claims import claims_of
from newsroom.streams.cluster import Cluster, patience
from newsroom.streams.internal_topics import prepare_changelog, provide
from newsroom.streams.offsets import forget_offsets, forget_old_topics, refuse_second_owner
from newsroom.streams.replica import NEEDS, identity
from newsroom.streams.topics import await_topics, denied_topics
from newsroom.topic_watch import TopicWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from newsroom.streams.application import StreamApplication
    from newsroom.streams.dead_letters import DeadLetterTopic
    from newsroom.streams.settings import StreamSettings
    from newsroom.waiting import StopFlag, Wait

log = get_logger(__name__)

START_SECONDS = 60.0
"""How long the start may take until the replica joins its group. A broker answers about ten seconds after its start; a
whole cluster on a laptop takes up to a minute."""

FIRST_COMMIT_SECONDS = 5.0
"""How long the loop may wait, before its first commit, for what other groups say that they write."""


@dataclass(frozen=True)
class Plan:
    """The topics of a stream service, by what it does with them.

    `stateful` names the inputs of its stateful dataframe, whose store gets a changelog. Their partitions, and those of
    the outputs in `keyed`, must stay as they are. It makes those in `internal` itself: no other group uses them.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    stateful: tuple[str, ...]
    keyed: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    rebuild: str = ""
    """The command that rebuilds the state, if there is one."""


def run_stream(
    settings: StreamSettings,
    stop: StopFlag,
    plan: Plan,
    *,
    build: Callable[[StreamApplication, DeadLetterTopic], None],
    poll_seconds: float,
) -> None:
    """Run one replica until a signal stops it.

    `build` adds the dataframes. A due commit may be late by up to `poll_seconds`.

    Raises:
        NewsroomError: the replica cannot continue; its open transaction was not committed.
        Stopped: a signal arrived while the replica waited for the cluster.
    """
    health = Health(*NEEDS)
    changelog = Changelog(settings.consumer_group, plan.stateful, plan.rebuild)
    with HealthServer(health, settings.http_host, settings.http_port), take_slot(settings.state_dir) as slot:
        name = identity(settings, slot)
        log.info("replica", identity=name, slot=str(slot.folder))
        needed = rights(name, changelog, plan, settings.dead_letter_topic, exactly_once=settings.exactly_once)
        access = Access(settings.client_config(name), *needed)
        start = patience(START_SECONDS, stop)
        ready = _prepare(settings, access, plan, changelog, start)
        folder = state_folder(slot, ready.changelog_id)
        watch = TopicWatch(
            settings.client_config(f"{name}-watch"), {*plan.reads, *plan.writes}, (*plan.stateful, *plan.keyed)
        )
        # Quix takes as much CPU time to import as the service up to here, which may still wait for its topics.
        from newsroom.streams.application import StreamApplication  # noqa: PLC0415
        from newsroom.streams.dead_letters import DeadLetterTopic  # noqa: PLC0415
        from newsroom.streams.errors import translated_errors  # noqa: PLC0415

        letters = settings.dead_letter_topic
        dead_letters = DeadLetterTopic(letters, settings.consumer_group, ready.cluster.most_bytes(letters))
        app = StreamApplication(
            settings,
            slot,
            folder,
            health,
            stop,
            rights=access.rights,
            poll_seconds=poll_seconds,
            watch=watch,
            claims=claims_of(ready.ids, plan.writes),
            most_bytes=dead_letters.most_bytes,
            before_first_commit=partial(_look_for_owners, settings, access, plan, stop),
            start=start.deadline,
        )
        explain = partial(_explained, settings, access, changelog, folder)
        with _forgetting(settings, access, ready, stop), translated_errors(explain):
            build(app, dead_letters)
            if not stop:
                app.run_watched(explain)


def _explained(
    settings: StreamSettings, access: Access, changelog: Changelog, folder: Path, error: BaseException
) -> BaseException:
    from newsroom.streams.errors import translation  # noqa: PLC0415 - loads Quix

    translated = translation(error, changelog, folder, access)
    # A denied transaction does not say which of its topics is the cause.
    denied = denied_topics(settings, access) if isinstance(translated, LastingFailure) else None
    return denied or translated


@contextmanager
def _forgetting(settings: StreamSettings, access: Access, ready: _Ready, stop: StopFlag) -> Iterator[None]:
    """If an input was made anew, forget what the group committed of the old one before the service ends."""
    try:
        yield
    except TopicMismatch as error:
        topic = str(error.fields.get("topic"))
        if error.fields.get("recreated") and topic in ready.metadata:
            cluster = Cluster(settings, access, patience(START_SECONDS, stop))
            forget_offsets(cluster, settings.consumer_group, topic, ready.metadata[topic])
        raise


@dataclass(frozen=True)
class _Ready:
    """What a replica knows of its topics before it reads the first record."""

    cluster: Cluster
    metadata: dict[str, Any]
    ids: dict[str, str]
    changelog_id: str


def _prepare(settings: StreamSettings, access: Access, plan: Plan, changelog: Changelog, start: Wait) -> _Ready:
    """Wait for the topics, make the internal ones, and settle whose the outputs and the committed offsets are."""
    group, letters = settings.consumer_group, settings.dead_letter_topic
    names = [*plan.reads, *plan.writes]
    outside = await_topics(settings, access, [name for name in names if name not in plan.internal], start)
    cluster = Cluster(settings, access, start)
    # Before anything is made: a group that is refused leaves no topic behind.
    refuse_second_owner(cluster, group, plan.writes)
    provide(cluster, plan.internal, letters, {name: outside[name] for name in plan.writes if name in outside})
    metadata = await_topics(settings, access, [*names, letters], start)
    ids = {name: cluster.id_of(name) for name in plan.reads}
    forget_old_topics(cluster, group, {name: metadata[name] for name in plan.reads}, ids, start.stop)
    sources = {name: metadata[name] for name in plan.stateful}
    return _Ready(cluster, metadata, ids, prepare_changelog(cluster, changelog, sources))


def _look_for_owners(settings: StreamSettings, access: Access, plan: Plan, stop: StopFlag) -> None:
    # The loop stands still meanwhile. If the cluster does not answer, the replica starts over and looks again.
    cluster = Cluster(settings, access, patience(FIRST_COMMIT_SECONDS, stop))
    refuse_second_owner(cluster, settings.consumer_group, plan.writes)


def rights(
    name: str, changelog: Changelog, plan: Plan, dead_letters: str, *, exactly_once: bool = True
) -> tuple[Right, ...]:
    """What a replica with this transactional id must be allowed to do; Quix reads the settings of its inputs."""
    state = changelog.topic
    operations = {
        "READ": (*plan.reads, state),
        "WRITE": (*plan.writes, dead_letters, state),
        "DESCRIBE_CONFIGS": (*plan.reads, state),
    }
    return (
        *(Right(operation, "topic", topic) for operation, topics in operations.items() for topic in topics),
        Right("READ", "group", changelog.group),
        *((Right("WRITE", "transactional-id", name),) if exactly_once else ()),
    )
