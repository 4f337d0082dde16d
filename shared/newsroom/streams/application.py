"""Quix Streams as both stream services use it: delivery, an identity per replica, health, an end in time.

Exactly-once means that output records, state (its changelog) and input offsets are one Kafka transaction. When the
cluster interrupts a replica (a broker died, the group gave its partitions to others), the replica starts over from its
last commit in the same process: docs/decisions/0008.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, cast

from quixstreams import Application
from quixstreams.internal_consumer.buffering import InternalConsumerBuffer
from quixstreams.kafka import ConnectionConfig
from quixstreams.state.rocksdb.options import RocksDBOptions
from typing_extensions import override

from newsroom.access import Access, Right
from newsroom.background import in_background
from newsroom.errors import NewsroomError, ReplicaFenced
from newsroom.logs import get_logger
from newsroom.streams.admin import OneAdmin
from newsroom.streams.clients import consumer_extra, producer_extra
from newsroom.streams.consumer import EVERY_OFFSET, RESTORE_SECONDS, PatientConsumer, is_changelog
from newsroom.streams.errors import QUIX_ERRORS, interruption, leave_to_caller
from newsroom.streams.joining import Joining
from newsroom.streams.producer import AfterCommit, BoundedProducer, log_client_error
from newsroom.streams.replica import NEED_PARTITIONS, NEED_STATE, identity
from newsroom.streams.watchdog import Watchdog
from newsroom.topics import MAX_RECORD_BYTES
from newsroom.waiting import RESTORING, STOP_SIGNALS, Stopped, do_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from confluent_kafka import KafkaError
    from quixstreams.internal_producer import InternalProducer
    from quixstreams.models.topics import TopicManager

    from newsroom.health import Health
    from newsroom.slots import Slot
    from newsroom.streams.settings import StreamSettings
    from newsroom.topic_watch import TopicWatch
    from newsroom.waiting import Deadline, StopFlag

log = get_logger(__name__)

INTERRUPTIONS = 20
INTERRUPTION_SECONDS = 120.0
"""More interruptions than this within that time end the service: then something else is wrong."""

PAUSE_SECONDS = 0.5
"""The pause between two attempts to start over."""

LOOKS = round(60 / RESTORE_SECONDS)
"""As many as make up the 60 seconds of Quix's own looks."""

MIB = 1024 * 1024
WRITE_BUFFER_BYTES = 8 * MIB
ROCKSDB_OPTIONS = RocksDBOptions(
    write_buffer_size=WRITE_BUFFER_BYTES,
    target_file_size_base=WRITE_BUFFER_BYTES,
    block_cache_size=64 * MIB,
    max_total_wal_size=32 * MIB,
)
"""Quix's defaults (three buffers of 64 MiB per partition, a cache of 1 GiB) suit a dedicated machine. With these
limits twelve partitions fit in a container of 512 MiB, and the lab's state fits in one buffer."""


class StreamApplication(Application):
    """The Quix application of one replica, with its state in `folder`; it does not connect before it runs.

    It reports partitions and state to `Health`, and starts over from the last commit after an interruption. Quix has no
    hook for the three rebalance callbacks, so they are overridden (a test checks that the names exist). `rights` are
    those that the replica needs: a denial is named with them. A due commit and a stop request may be late by up to
    `poll_seconds`.
    """

    def __init__(
        self,
        settings: StreamSettings,
        slot: Slot,
        folder: Path,
        health: Health,
        stop: StopFlag,
        *,
        rights: Sequence[Right] = (),
        poll_seconds: float,
        watch: TopicWatch | None = None,
        claims: Mapping[str, str] | None = None,
        most_bytes: int = MAX_RECORD_BYTES,
        before_first_commit: Callable[[], None] = do_nothing,
        start: Deadline | None = None,
    ) -> None:
        self._health = health
        self._stop_flag = stop
        self._watch = watch
        self._watchdog: Watchdog | None = None
        self._failure: BaseException | None = None
        name = identity(settings, slot)
        self._joining = Joining(settings, name, start)
        # Each client has its own: one may be accepted while the other is refused.
        self._consumer_access, self._producer_access = (Access(settings.client_config(name), *rights) for _ in range(2))
        self._claims = claims or {}
        self._before_first_commit: Callable[[], None] | None = before_first_commit
        self._after_commit = AfterCommit()
        self.after_commit = self._after_commit.add
        """Takes what is to be called once the open transaction is committed."""
        super().__init__(
            broker_address=ConnectionConfig.from_librdkafka_dict(settings.client_config(name), ignore_extras=True),
            consumer_group=settings.consumer_group,
            processing_guarantee=settings.delivery,
            auto_offset_reset="earliest",
            commit_interval=settings.commit_interval,
            consumer_poll_timeout=poll_seconds,
            consumer_extra_config=consumer_extra(settings, name) | {"stats_cb": self.on_statistics},
            producer_extra_config=producer_extra(settings, name, most_bytes),
            state_dir=folder,
            rocksdb_options=ROCKSDB_OPTIONS,
            # `provision` creates the topics and `prepare_changelog` the changelog, with the right settings.
            auto_create_topics=False,
            # Quix would delete the state and continue, which loses counts: stop with an error instead.
            auto_recover_from_source_offset_out_of_range=False,
            loglevel=None,  # newsroom.logs has set up logging
            on_consumer_error=leave_to_caller,
            on_processing_error=leave_to_caller,
            on_producer_error=leave_to_caller,
        )
        self._interruptions: deque[float] = deque(maxlen=INTERRUPTIONS)
        self._wrap_steps()

    def _wrap_steps(self) -> None:
        """Put a look before each commit, and a way on after an interruption around the steps of Quix's loop."""
        context, state = self._processing_context, self._state_manager
        context.commit_checkpoint = self._after_a_look(context.commit_checkpoint)  # type: ignore[method-assign]
        if self._config.exactly_once:
            # A changelog record that can be read is of a committed transaction. Quix would leave out those whose input
            # offset the group has not committed, which are all of them once an input was made anew.
            state.on_partition_assign = partial(_restoring_all, state.on_partition_assign)  # type: ignore[method-assign]
        state.do_recovery = self._restoring(state.do_recovery)  # type: ignore[method-assign]
        for owner, step in ((self, "_process_message"), (context, "commit_checkpoint"), (state, "do_recovery")):
            setattr(owner, step, self._continuing(getattr(owner, step)))

    def _restoring(self, restore: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            consumer = cast("PatientConsumer", self._consumer._inner_consumer)  # noqa: SLF001
            consumer.restoring = True
            recovery = self._state_manager._recovery_manager  # noqa: SLF001
            if recovery is not None:
                # Quix gives up after so many looks at a partition without a position.
                recovery.MAX_INVALID_OFFSET_ATTEMPTS = LOOKS
                recovery._position_cache = _NoCache()  # noqa: SLF001
            try:
                restore()
            finally:
                consumer.restoring = False
            consumer.wake()

        return run

    def on_statistics(self, statistics: str) -> None:
        """Note that the loop turns; librdkafka calls this inside poll() once a second."""
        self._health.tick()
        if '"state":"UP"' in statistics:
            self._consumer_access.answered()
        self._look_at_state()
        if self._stop_flag:  # the signal arrived before run() installed Quix's handlers
            self.stop()
            return
        self._joining.check()
        if self._health.lacks(NEED_PARTITIONS):
            self._joining.remove_former(self._consumer.memberid() or "")
        if self._watch is not None:
            self._watch.look()

    def run_watched(self, explain: Callable[[BaseException], BaseException]) -> None:
        """Run until a stop signal; end the process by force if the loop hangs or its clients do not close.

        Quix handles the signals while it runs; the earlier handlers are restored at the end. A second signal ends the
        process at once. `explain` translates the error of a failure, in case the clients then hang.
        """
        self._explain = explain
        # Quix creates its own consumer at first use and has no hook for another.
        consumer = self._consumer
        consumer._user_error_cb = self._on_consumer_error  # noqa: SLF001
        config = consumer._consumer_config  # noqa: SLF001
        consumer._inner_consumer = PatientConsumer(  # noqa: SLF001
            config,
            self._stop_flag,
            self._consumer_access,
            claims=self._claims,
            after_commit=self._after_commit.run,
            remove_former=self._joining.remove_former,
        )
        self._joining.begin()
        handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        try:
            with Watchdog(self._health) as self._watchdog:
                self.run()
        except Exception as error:
            if self._failure is None or self._failure is error:
                raise
            raise self._failure from error  # the clients did not close in order, because of it
        finally:
            self._joining.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @override
    def _get_topic_manager(self) -> TopicManager:
        manager = super()._get_topic_manager()
        manager._admin = OneAdmin(self._config.broker_address, extra_config=self._config.producer_extra_config)  # noqa: SLF001
        return manager

    @override
    def _get_internal_producer(self, on_error: Any = None, transactional: bool | None = None) -> InternalProducer:
        if transactional is False:
            return super()._get_internal_producer(on_error, transactional)
        return BoundedProducer(
            self._producer_access,
            self._after_commit,
            self._claims,
            broker_address=self._config.broker_address,
            extra_config=self._config.producer_extra_config,
            on_error=on_error,
            transactional=self._config.exactly_once,
        )

    def _on_consumer_error(self, error: KafkaError) -> None:
        self._consumer_access.note(error)
        self._joining.note(error)
        log_client_error(error)

    def _after_a_look(self, commit: Callable[..., None]) -> Callable[..., None]:
        """Return Quix's commit, which looks at the topics first if it has results to commit."""

        def run(force: bool = False, revoking: bool = False) -> None:
            checkpoint = self._processing_context.checkpoint
            if (force or checkpoint.expired()) and not checkpoint.empty():
                self._look_before_commit()
            commit(force=force, revoking=revoking)

        return run

    def _look_before_commit(self) -> None:
        if self._watch is not None:
            self._watch.check()
        if self._before_first_commit is not None:
            # Another group may have begun to write the same topics since this one started.
            self._before_first_commit()
            self._before_first_commit = None

    def _continuing(self, step: Callable[..., None]) -> Callable[..., None]:
        """Return a step of Quix's loop after whose interruption by the cluster the replica continues."""

        @wraps(step)
        def run(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - Quix's own arguments
            try:
                step(*arguments, **options)
            except (NewsroomError, *QUIX_ERRORS) as error:
                # A rebalance callback lets the error pass: the step that polls continues after it.
                if options.get("revoking"):
                    raise
                self._continue_after(error)

        return run

    def _continue_after(self, error: BaseException) -> None:
        """Start over from the last commit, and again while that too is interrupted.

        Raises:
            BaseException: the error, if it is not an interruption, or if interruptions are too many.
            Stopped: a signal arrived.
        """
        while (reason := interruption(error)) is not None and not self._too_many_interruptions():
            if self._stop_flag:
                raise Stopped(reason)
            log.warning("the cluster interrupted this replica; it reads again from its last commit", why=reason)
            try:
                self._start_over()
            except (NewsroomError, *QUIX_ERRORS) as further:
                error = further
                self._stop_flag.wait(PAUSE_SECONDS)
            else:
                return
        raise error

    def _too_many_interruptions(self) -> bool:
        now = time.monotonic()
        too_many = len(self._interruptions) == INTERRUPTIONS and now - self._interruptions[0] < INTERRUPTION_SECONDS
        self._interruptions.append(now)
        return too_many

    def _start_over(self) -> None:
        """Drop what is not committed, settle the open transaction, and take the assigned partitions anew."""
        self._health.lost(NEED_STATE, "the replica reads again from its last commit")
        self._health.tick()
        # Side by side: to close the files of the state takes about as long as to settle the transaction.
        settled = in_background(cast("BoundedProducer", self._producer).start_over)
        try:
            self._drop_state()
        finally:
            settled.result()
        cast("PatientConsumer", self._consumer._inner_consumer).assign_again()  # noqa: SLF001
        self._processing_context.init_checkpoint()  # type: ignore[no-untyped-call]

    def _drop_state(self) -> None:
        for sink in self._sink_manager.sinks:
            sink.on_paused()  # type: ignore[no-untyped-call]
        consumer = self._consumer
        consumer._buffer = InternalConsumerBuffer(consumer._max_partition_buffer_size)  # noqa: SLF001
        self._state_manager.stop_recovery()
        self._revoke_state_partitions(consumer.assignment())
        consumer.reset_backpressure()  # type: ignore[no-untyped-call]

    @override
    def stop(self, fail: bool = False) -> None:
        self._stop_flag.set()
        if self._watchdog is not None:
            self._watchdog.closing()
        super().stop(fail=fail)

    @override
    def _exception_handler(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> Any:
        self._failure = exc_val
        if exc_val is not None and self._watchdog is not None:
            self._watchdog.closing(str(self._explain(exc_val)))
        return super()._exception_handler(exc_type, exc_val, exc_tb)  # type: ignore[no-untyped-call]

    @override
    def _on_sigint(self, *_: Any) -> None:
        # Quix leaves a second SIGINT to Python, which prints a stack trace. The watchdog handles every second signal,
        # so treat SIGINT as Quix treats SIGTERM.
        self.stop()

    def _look_at_state(self) -> None:
        recovery = self._state_manager._recovery_manager  # noqa: SLF001
        if recovery is None or not self._state_manager.recovery_required:
            self._health.reached(NEED_STATE)
            return
        partitions = [partition for stores in recovery.partitions.values() for partition in stores.values()]
        restored = sum(max(0, partition.offset + 1) for partition in partitions)
        everything = sum(partition.changelog_highwater for partition in partitions)
        self._health.lost(NEED_STATE, f"{RESTORING}: at {restored:,} of {everything:,}")

    @override
    def _on_assign(self, consumer: Any, topic_partitions: list[Any]) -> None:
        if self._watch is not None:
            self._watch.check()
        super()._on_assign(consumer, topic_partitions)
        self._joining.done()
        self._look_at_state()
        log.info("partitions assigned", partitions=_data_partitions(topic_partitions))
        self._health.reached(NEED_PARTITIONS)

    @override
    def _on_revoke(self, consumer: Any, topic_partitions: list[Any]) -> None:
        self._health.lost(NEED_PARTITIONS, "the group is reassigning its partitions")
        super()._on_revoke(consumer, topic_partitions)
        log.info("partitions handed over", partitions=_data_partitions(topic_partitions))

    @override
    def _on_lost(self, consumer: Any, topic_partitions: list[Any]) -> None:
        self._health.lost(NEED_PARTITIONS, "the group gave this replica's partitions to others")
        super()._on_lost(consumer, topic_partitions)
        # Quix would commit the open checkpoint in the next generation, although another replica has already
        # counted the same records.
        raise ReplicaFenced(
            "the group gave this replica's partitions to others (the replica was paused, or cut off, for longer than "
            "its session timeout): the open transaction was not committed"
        )


class _NoCache(dict[str, Any]):
    """In place of Quix's cache, which takes the position of a changelog for known for a second."""

    @override
    def __setitem__(self, key: str, value: object) -> None:
        pass


def _data_partitions(partitions: list[Any]) -> list[str]:
    return sorted(f"{tp.topic}-{tp.partition}" for tp in partitions if not is_changelog(tp.topic))


def _restoring_all(assign: Callable[..., Any], *, committed_offsets: dict[str, int], **place: Any) -> Any:  # noqa: ANN401
    return assign(committed_offsets=dict.fromkeys(committed_offsets, EVERY_OFFSET), **place)
