"""Errors that only the avro-consumer raises."""

from __future__ import annotations

from newsroom.errors import NewsroomError


class CommitRefused(NewsroomError):
    """The cluster refuses the group's offsets, and a retry does not change that."""


class MemberFenced(NewsroomError):
    """Another process took the member's identity, or the client is in a fatal state."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this group member cannot continue: {reason}; if another process uses the same group.instance.id, stop "
            "one of them or give it another --state-dir"
        )


class SinkFailed(NewsroomError):
    """The sink could not write its records."""
