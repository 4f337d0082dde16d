"""What only a group member can meet."""

from __future__ import annotations

from newsroom.errors import NewsroomError


class CommitRefused(NewsroomError):
    """The cluster refuses this group's offsets for a reason that trying again does not change."""


class MemberFenced(NewsroomError):
    """Another process took this member's identity, or the client is in a fatal state."""


class SinkFailed(NewsroomError):
    """Records could not be written to the sink."""
