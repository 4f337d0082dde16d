"""What can go wrong in the producer alone; the rest is in `newsroom.errors`."""

from __future__ import annotations

from newsroom.errors import NewsroomError, TransientError


class BadInput(NewsroomError):
    """A record of a source cannot be sent as it is; the message begins with its file and line."""


class FeedUnavailable(TransientError):
    """A feed did not answer, or answered with something else than a feed."""


class TopicMissing(NewsroomError):
    """The brokers answer, but they do not have the topic."""
