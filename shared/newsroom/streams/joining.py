"""How a replica gets its place in its group.

At the start the group gives it one in time, or the replica says why not and ends. No group waits for what the replica
was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from newsroom.errors import GroupNotJoined
from newsroom.streams.clients import MAX_POLL_INTERVAL_MS
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from newsroom.admin.members import MemberRemover
    from newsroom.streams.settings import StreamSettings

JOIN_SECONDS = MAX_POLL_INTERVAL_MS / 1000 + 15.0
"""How long a replica may take at least. The group itself waits nearly as long for a member that does not come."""


class Joining:
    """Whether the replica `name` has a place in its group; `start` is the deadline of its whole start."""

    def __init__(self, settings: StreamSettings, name: str, start: Deadline | None) -> None:
        self._settings = settings
        self._name = name
        self._start = start
        self._limit: Deadline | None = None
        self._last_error = ""
        self._remover: MemberRemover | None = None

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
        address = self._settings.bootstrap_servers
        raise GroupNotJoined(
            f"this replica could not join consumer group {self._settings.consumer_group} at {address} within "
            f"{self._limit.seconds:.0f} s{error}: check the brokers, their advertised.listeners, and the group's other "
            "members",
            address=address,
        )

    def remove_former(self, member: str) -> None:
        """Remove from the group, in the background, the members of this replica's name but the present `member`.

        Such a member is of a process that died, or of a session that its client has given up. With exactly-once no two
        replicas that live have one name, because it is the transactional id. The group replaces static members.
        """
        if not member or not self._settings.exactly_once or self._settings.static_membership:
            return
        if self._remover is None:
            from newsroom.admin.members import MemberRemover  # noqa: PLC0415 - few replicas ever need kafka-python

            self._remover = MemberRemover(self._settings, self._settings.consumer_group, self._name)
        self._remover.remove_all_but(member)

    def close(self) -> None:
        """Give up what runs in the background."""
        if self._remover is not None:
            self._remover.close()
