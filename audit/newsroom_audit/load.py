"""Sends records at a rate, and keeps a ledger of them: the one load generator of tests and experiments."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from newsroom.errors import DeliveryFailed
from newsroom.kafka_errors import kafka_error, reason_of
from newsroom.topics import MYTOPIC, NEWS, WORD
from newsroom.waiting import Deadline, StopFlag
from newsroom_audit.history import ID_HEADER
from newsroom_audit.ledger import Entry, LedgerWriter, Outcome, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from threading import Event
    from types import TracebackType
    from typing import Self

    from confluent_kafka import Message

    from newsroom.settings import KafkaSettings

REFUSED = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD})
"""With these errors a record was certainly not written, at the first try or a later one. Any other error leaves it
open: a request that timed out may have reached the broker."""

SLICE_SECONDS = 0.05
"""The longest wait before the next look at the stop flag."""

FLUSH_SECONDS = 130.0
"""librdkafka gives a record up after 120 s, so each one has a delivery report by then."""


@dataclass(frozen=True)
class Item:
    """A record to send. `count` is of a label: a count of its word that the join has processed."""

    topic: str
    key: str | None
    value: str | bytes
    count: int | None = None


def unique_words(run: str, number: int | None = None, topic: str = MYTOPIC.name) -> Iterator[Item]:
    """Records of one word each that no other record has; endless without a number."""
    for index in count() if number is None else range(number):
        word = f"w{run}x{index}"
        yield Item(topic, word, word)


def common_words(
    run: str, number: int | None = None, *, vocabulary: int, words: int = 1, seed: int = 0, topic: str = MYTOPIC.name
) -> Iterator[Item]:
    """Records of some words each, drawn from a vocabulary with frequencies like those of real text (Zipf)."""
    rng = random.Random(seed)  # noqa: S311 - a load, not a secret
    names = [f"w{run}x{index}" for index in range(vocabulary)]
    weights = list(accumulate(1 / rank for rank in range(1, vocabulary + 1)))
    for _ in count() if number is None else range(number):
        drawn = rng.choices(names, cum_weights=weights, k=words)
        yield Item(topic, drawn[0], " ".join(drawn))


def articles(run: str, encode: Callable[[Mapping[str, Any]], bytes], number: int | None = None) -> Iterator[Item]:
    """Articles whose titles hold one word that no other record has; `encode` makes a value of `news` of each."""
    for index in count() if number is None else range(number):
        article = {"title": f"Audit n{run}x{index}", "media": "audit"}
        yield Item(NEWS.name, f"{run}-{index}", encode(article))


def labels(run: str, counts: Mapping[str, int], number: int = 1, topic: str = WORD.name) -> Iterator[Item]:
    """Labels that no other record has, for words whose counts the join has processed already."""
    for turn in range(number):
        for word, known in counts.items():
            yield Item(topic, word, f"label-{run}-{turn}", known)


class Load:
    """Sends items and writes each one and its outcome to a new ledger. A context manager.

    The producer is as safe as that of news-producer: idempotent, acknowledged by all in-sync replicas, with the
    project's partitioner.

    Raises:
        AuditError: the ledger exists already, or cannot be written.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        ledger: Path,
        *,
        run: str | None = None,
        seed: int | None = None,
        stop: Event | None = None,
        **overrides: Any,  # noqa: ANN401 - librdkafka's parameters
    ) -> None:
        self.run = run or secrets.token_hex(4)
        self._stop = stop or StopFlag()
        self._producer = Producer(settings.producer_config("newsroom-audit-load", **overrides) | {"log_level": 0})
        self._ledger = LedgerWriter(ledger, self.run, seed)
        self._numbers = count()
        self.sent = 0
        self.acknowledged = 0
        self.failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, items: Iterable[Item], rate: float = 0.0) -> int:
        """Send items at a rate of records a second, or as fast as possible with 0, until the stop flag is set.

        Returns:
            How many were handed over. Their outcomes come later: `flush` waits for them.
        """
        start, number = time.monotonic(), 0
        for item in items:
            if rate:
                self._pause_until(start + number / rate)
            if self._stop.is_set():
                break
            self._hand_over(item)
            number += 1
        return number

    def _pause_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0 and not self._stop.is_set():
            self._producer.poll(min(left, SLICE_SECONDS))

    def _hand_over(self, item: Item) -> None:
        number = next(self._numbers)
        key = None if item.key is None else item.key.encode()
        identity = record_id(self.run, number)
        value = item.value.encode() if isinstance(item.value, str) else item.value
        entry = Entry(identity, number, item.topic, key, value, time.time(), item.count)
        self._ledger.intend(entry)
        self.sent += 1
        headers = [(ID_HEADER, identity.encode())]
        while True:
            try:
                self._producer.produce(
                    entry.topic, entry.value, entry.key, headers=headers, on_delivery=self._reporter(entry)
                )
            except BufferError:
                if self._stop.is_set():
                    self._settle(entry, Outcome.FAILED, "the client's queue was full, and the load was stopped")
                    return
                self._producer.poll(SLICE_SECONDS)
            except KafkaException as error:
                # The client refused the record itself: it was certainly not written.
                self._settle(entry, Outcome.FAILED, reason_of(error))
                if kafka_error(error).fatal():
                    raise DeliveryFailed(f"the load to {entry.topic} cannot go on: {reason_of(error)}") from error
                return
            else:
                self._producer.poll(0)
                return

    def _reporter(self, entry: Entry) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                # A repeated request that the broker knows already is acknowledged without an offset.
                entry.partition, offset = message.partition(), message.offset()
                entry.offset = -1 if offset is None else offset
                self._settle(entry, Outcome.ACKNOWLEDGED)
            else:
                outcome = Outcome.FAILED if error.code() in REFUSED else Outcome.UNKNOWN
                self._settle(entry, outcome, f"{error.name()}: {error.str()}")

        return report

    def _settle(self, entry: Entry, outcome: Outcome, reason: str = "") -> None:
        entry.outcome, entry.reason, entry.settled = outcome, reason, time.time()
        self.acknowledged += outcome is Outcome.ACKNOWLEDGED
        self.failed += outcome is Outcome.FAILED
        self._ledger.settle(entry)

    def flush(self, seconds: float = FLUSH_SECONDS) -> int:
        """Wait for delivery reports; the number of records that still have none."""
        deadline = Deadline(seconds)
        left: int = self._producer.flush(SLICE_SECONDS)
        while left and not deadline.passed():
            left = self._producer.flush(SLICE_SECONDS)
        return left

    def close(self) -> None:
        """Wait for delivery reports, then close the ledger. What has none stays unknown."""
        self.flush()
        # No callback may write to a closed file.
        self._producer.purge()
        self._producer.flush(SLICE_SECONDS)
        self._ledger.close()
