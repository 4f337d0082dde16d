"""Bounds the last step of a replica's start: its group gives it a place, or it says why not and ends."""

from __future__ import annotations

from confluent_kafka import KafkaError

from newsroom.errors import GroupNotJoined
from newsroom.streams.clients import MAX_POLL_INTERVAL_MS
from newsroom.waiting import Deadline

JOIN_SECONDS = MAX_POLL_INTERVAL_MS / 1000 + 15.0
"""How long a replica may take at least. The group itself waits nearly as long for a member that does not come."""


class Joining:
    """Whether a replica joined its group in time; `start` is the deadline of its whole start."""

    def __init__(self, group: str, address: str, start: Deadline | None) -> None:
        self._group = group
        self._address = address
        self._start = start
        self._limit: Deadline | None = None
        self._last_error = ""

    def begin(self) -> None:
        """The replica asks the group for a place now."""
        self._limit = Deadline(max(self._start.left() if self._start is not None else 0.0, JOIN_SECONDS))

    def note(self, error: KafkaError) -> None:
        """Keep an error of the client: the last one that names an address is a part of the sentence."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own codes begin so
            self._last_error = error.str()

    def done(self) -> None:
        """The group has given the replica its partitions, which may be none."""
        self._limit = None

    def check(self) -> None:
        """Do nothing while the replica is in time.

        Raises:
            GroupNotJoined: it is late.
        """
        if self._limit is None or not self._limit.passed():
            return
        error = f" (the last error: {self._last_error})" if self._last_error else ""
        raise GroupNotJoined(
            f"this replica could not join consumer group {self._group} at {self._address} within "
            f"{self._limit.seconds:.0f} s{error}: check the brokers, their advertised.listeners, and the group's other "
            "members",
            address=self._address,
        )
