"""A consumer for Quix that retries while coordinators and leaders move (newsroom.patience).

On every assignment Quix requests committed offsets and the ends of partitions once, and any error stops the replica.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition
from prometheus_client import Counter
from typing_extensions import override

from newsroom.access import Right
from newsroom.background import in_background
from newsroom.errors import NotYet
from newsroom.headers import mend_headers
from newsroom.logs import get_logger
from newsroom.patience import PATIENCE_SECONDS, committed_offsets, explicit, patiently
from newsroom.streams.producer import CHECKPOINT_SECONDS, promptly, with_claims
from newsroom.unread import UnreadWatch
from newsroom.waiting import Deadline, StopFlag, do_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from newsroom.access import Access

log = get_logger(__name__)

EVERY_OFFSET = 2**63 - 1
"""Every offset is below this one."""

ATTEMPT_SECONDS = 2.0
"""One request waits for the broker that it chose, also when that broker is gone. A repetition finds the new one."""

TOGETHER_SECONDS, ROUNDS = 1.0, 3
"""How long the question for the ends of all partitions may take, and how often it is asked for those without an answer:
leaders that just moved know them in the next round. Those that are left are asked for one by one."""

RESTORE_SECONDS = 0.1
"""How long to wait for a further record of a changelog before Quix looks whether the state is restored; its own wait
is a second."""

AHEAD_MS = 60_000
"""How far ahead of this machine's clock a timestamp may be. Clocks of machines differ by less, and a topic takes an
hour by default (message.timestamp.after.max.ms)."""

MOVED = Counter(
    "newsroom_stream_timestamps_moved", "Records read as if they were of now: theirs is in the future.", ["topic"]
)


class AtPresent:
    """A record with the present time instead of its own, which lies in the future or does not exist.

    The output topics would refuse its own time. In the join it would hold up its partition, because records are
    released in the order of their time.
    """

    def __init__(self, message: Any, now: int) -> None:  # noqa: ANN401 - the client has no types
        self._message = message
        self._now = now

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the client's own methods
        return getattr(self._message, name)

    def __len__(self) -> int:
        return len(self._message)

    def timestamp(self) -> tuple[int, int]:
        """The type of the timestamp, and the present time in ms."""
        return self._message.timestamp()[0], self._now


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Repeats requests that only the right broker can answer, for `PATIENCE_SECONDS` or until a stop.

    It raises what the cluster refuses for good as a `LastingFailure` that names the right. While the
    coordinator gives no answer it calls `remove_former` with the present member id: the group may wait for the member
    that this client was before.
    """

    def __init__(
        self,
        config: dict[str, object],
        stop: StopFlag,
        access: Access,
        *,
        claims: Mapping[str, str] | None = None,
        after_commit: Callable[[], None] = do_nothing,
        remove_former: Callable[[str], None] = do_nothing,
    ) -> None:
        super().__init__(config)
        self._remove_former = remove_former
        self._claims = claims or {}
        self._after_commit = after_commit
        self._access = access
        self._config = config
        self._stop = stop
        self._deadline = Deadline(PATIENCE_SECONDS)
        # Without patience: the loop must not wait for the beginning of a log while its leader is away.
        self._unread = UnreadWatch(super().get_watermark_offsets)
        self._begins: dict[tuple[str, int], TopicPartition] = {}
        """The partitions of an assignment, except changelogs, with the offsets that were committed."""
        self._known_ends: dict[tuple[str, int], tuple[int, int]] = {}
        """The ends of the partitions of an assignment, until Quix asks for them."""
        self.restoring = False
        """Whether Quix restores state."""
        self._on_assign: Callable[[Consumer, list[TopicPartition]], None] | None = None

    @override
    def poll(self, timeout: float = -1) -> Any:
        """As `confluent_kafka.Consumer.poll`; the record's headers and time are ones that can be used."""
        message = super().poll(min(timeout, RESTORE_SECONDS) if self.restoring else timeout)
        if message is None and self.restoring:
            self.wake()
        self._check([message] if message is not None else [])
        return None if message is None else self._received(message)

    def wake(self) -> None:
        """Let the client fetch the partitions that were resumed: by itself it may look at them a second later.

        librdkafka's thread of a broker sleeps for so long, unless it has something to send.
        """
        question = [TopicPartition(place.topic, place.partition, OFFSET_END) for place in self.assignment()]
        with suppress(KafkaException):  # to send the question is enough
            self.offsets_for_times(question, timeout=RESTORE_SECONDS)

    @override
    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Any]:
        """As `confluent_kafka.Consumer.consume`; the records' headers and times are ones that can be used."""
        messages: list[Any] = super().consume(num_messages, timeout)
        self._check(messages)
        return [self._received(message) for message in messages]

    def _check(self, messages: Iterable[Any]) -> None:
        for message in messages:
            if (error := message.error()) is not None:
                others = (right for right in self._access.rights if right.kind != "topic")
                self._access.raise_lasting(error, Right("READ", "topic", message.topic() or ""), *others)
        self._access.check()

    @override
    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        """As `confluent_kafka.Consumer.subscribe`; keeps what `assign_again` calls."""
        self._on_assign = callbacks["on_assign"]
        super().subscribe(topics, **callbacks)

    def assign_again(self) -> None:
        """Do what follows an assignment by the group once more, for the partitions that the group has assigned."""
        partitions = [TopicPartition(place.topic, place.partition) for place in self.assignment()]
        if self._on_assign is not None and partitions:
            # Without it, a close that follows at once fails an assertion of librdkafka (rktp_started).
            self.unassign()
            self._on_assign(self, partitions)

    def _received(self, message: Any) -> Any:  # noqa: ANN401 - the client has no types
        topic = message.topic()
        if message.error() is not None or is_changelog(topic):
            return message
        mend_headers(message)
        self._unread.note(topic, message.partition(), message.offset())
        now = time.time_ns() // 1_000_000
        if 0 <= message.timestamp()[1] <= now + AHEAD_MS:
            return message
        MOVED.labels(topic).inc()
        return AtPresent(message, now)

    @override
    def commit(self, offsets: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        """As `confluent_kafka.Consumer.commit`, waited for and bounded. Quix calls it without a transaction."""
        commit = partial(super().commit, offsets=with_claims(offsets, self._claims), asynchronous=False)
        answer: list[TopicPartition] = promptly(lambda _: commit(), CHECKPOINT_SECONDS)
        self._after_commit()
        return answer

    @override
    def close(self) -> None:
        """As `confluent_kafka.Consumer.close`, which loses the error of a callback that fails while it closes."""
        try:
            super().close()
        except SystemError as error:
            log.warning("the consumer did not hand over its partitions in order when it closed", error=str(error))
        if "_whole" in vars(self):
            self._whole.close()

    @override
    def assign(self, partitions: list[TopicPartition]) -> None:
        """As `confluent_kafka.Consumer.assign`, at the committed offsets; each one starts `PATIENCE_SECONDS` again."""
        self._deadline = Deadline(PATIENCE_SECONDS)
        sources = [place for place in partitions if not is_changelog(place.topic)]
        # Quix asks again for the committed offsets, and for the ends of each partition in turn.
        self._begins = {(place.topic, place.partition): place for place in self._committed(sources)}
        self._unread.begin_at(self._begins.values())
        self._known_ends = self._ends_in_rounds(partitions)
        super().assign(explicit([self._begins.get((place.topic, place.partition), place) for place in partitions]))

    @override
    def seek(self, partition: TopicPartition) -> None:
        """As `confluent_kafka.Consumer.seek`, with retries: after an assignment the client fetches a moment later."""
        seek = partial(super().seek, partition)
        patiently(
            seek, what=f"{partition.topic} partition {partition.partition}", deadline=self._deadline, stop=self._stop
        )

    @override
    def committed(self, partitions: list[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        """As `confluent_kafka.Consumer.committed`, for the partitions of an assignment at its time."""
        begins = self._begins
        if all((place.topic, place.partition) in begins for place in partitions):
            return [begins[place.topic, place.partition] for place in partitions]
        return self._committed(partitions)

    def _committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        ask: Callable[[], list[TopicPartition]] = partial(super().committed, partitions, timeout=ATTEMPT_SECONDS)

        def remove_former() -> None:
            self._remove_former(self.memberid())

        # The coordinator answers nothing else to a client that it lets wait for a place in the group.
        return committed_offsets(ask, self._deadline, self._stop, remove_former) if partitions else []

    def _ends_in_rounds(self, partitions: list[TopicPartition]) -> dict[tuple[str, int], tuple[int, int]]:
        known: dict[tuple[str, int], tuple[int, int]] = {}
        for _ in range(ROUNDS):
            left = [place for place in partitions if (place.topic, place.partition) not in known]
            if not left or self._stop or self._deadline.passed():
                break
            known |= self._ends(left)
        return known

    def _ends(self, partitions: list[TopicPartition]) -> dict[tuple[str, int], tuple[int, int]]:
        """Ask for the ends of all partitions together, which is one request to each leader."""
        changelogs = [partition for partition in partitions if is_changelog(partition.topic)]
        whole = _ends_of(self._whole, changelogs) if changelogs else {}
        ends = _ends_of(self, partitions)
        for place, (_, end) in list(ends.items()):
            if is_changelog(place[0]) and end < whole.get(place, (0, EVERY_OFFSET))[1]:
                del ends[place]
        return ends

    @override
    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = -1, cached: bool = False
    ) -> tuple[int, int] | None:
        """As `confluent_kafka.Consumer.get_watermark_offsets`, with retries; of a changelog, its whole ends."""
        if cached:
            ends: tuple[int, int] | None = super().get_watermark_offsets(partition, cached=True)
            return ends
        known = self._known_ends.pop((partition.topic, partition.partition), None)
        if known is not None:
            return known
        seconds = _shortened(timeout)
        place = f"{partition.topic} partition {partition.partition}"
        ask: Callable[[], tuple[int, int]] = partial(super().get_watermark_offsets, partition, timeout=seconds)
        asked = partial(patiently, what=f"the ends of {place}", deadline=self._deadline, stop=self._stop)
        if not is_changelog(partition.topic):
            return asked(ask, refresh=partial(_refresh, self))
        whole = partial(self._whole.get_watermark_offsets, partition, timeout=seconds)
        _, end = asked(whole, refresh=partial(_refresh, self._whole))
        return asked(lambda: stable(ask(), end, place), refresh=partial(_refresh, self))

    @cached_property
    def _whole(self) -> Consumer:
        """A client that sees what is not committed yet, for the ends of changelogs alone."""
        callbacks = {"error_cb", "stats_cb", "on_commit"}
        config = {name: value for name, value in self._config.items() if name not in callbacks}
        return Consumer(config | {"isolation.level": "read_uncommitted", "statistics.interval.ms": 0})


def _shortened(timeout: float) -> float:
    return ATTEMPT_SECONDS if timeout < 0 else min(timeout, ATTEMPT_SECONDS)


def _refresh(client: Consumer) -> None:
    """Let a client read who leads now: by itself it may ask the leader that it knows, and wait for it, dead or not.

    In a thread of its own: `list_topics` in a callback of the same client makes its next callback abort the process.
    """
    in_background(partial(client.list_topics, timeout=TOGETHER_SECONDS)).result(2 * TOGETHER_SECONDS)


def _ends_of(client: Consumer, partitions: list[TopicPartition]) -> dict[tuple[str, int], tuple[int, int]]:
    """The oldest and the next offset of the partitions whose leaders answer in time."""
    ends = []
    try:
        _refresh(client)
        for offset in (OFFSET_BEGINNING, OFFSET_END):
            question = [TopicPartition(partition.topic, partition.partition, offset) for partition in partitions]
            answers = client.offsets_for_times(question, timeout=TOGETHER_SECONDS)
            partitions = [part for part in answers if part.error is None and part.offset >= 0]
            ends.append({(part.topic, part.partition): part.offset for part in partitions})
    except (KafkaException, TimeoutError):
        return {}
    begins, nexts = ends
    return {place: (begins[place], end) for place, end in nexts.items()}


def is_changelog(topic: str) -> bool:
    """Whether Quix keeps the state of a store in this topic."""
    return topic.startswith("changelog__")


def stable(ends: tuple[int, int], whole_end: int, place: str) -> tuple[int, int]:
    """The ends that a read_committed client is told, once they contain all that stood before `whole_end`.

    A transaction can be complete for its coordinator, and for the offsets that it commits, before its marker is
    in the changelog. The state would be restored without that transaction (Kafka Streams: KAFKA-10167).

    Raises:
        NotYet: a transaction on this partition is not complete.
    """
    if ends[1] < whole_end:
        raise NotYet(f"a transaction on {place} is not complete (stable end {ends[1]}, end {whole_end})")
    return ends
