"""What identifies a replica of a stream service, and what makes it ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsroom.slots import Slot
    from newsroom.streams.settings import StreamSettings

NEED_PARTITIONS = "partitions"
NEED_STATE = "state"
NEEDS = (NEED_PARTITIONS, NEED_STATE)
"""The needs that make a stream service ready, for `Health(*NEEDS)`."""


def identity(settings: StreamSettings, slot: Slot) -> str:
    """The replica's name, which survives a restart and is unique among the running replicas."""
    return f"{settings.consumer_group}-{slot.number}"
