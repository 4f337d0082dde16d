"""Errors that only the producer raises; `newsroom.errors` has the shared ones."""

from __future__ import annotations

from newsroom.errors import NewsroomError, TransientError


class BadInput(NewsroomError):
    """The producer cannot send an entry of a source. `reason` is the word under which the account counts it."""

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message)
        self.reason = reason


class BadFile(NewsroomError):
    """A file as a whole is not what the producer reads: every one of its lines would be bad."""


class FeedUnavailable(TransientError):
    """A feed did not answer, or its answer is not a feed."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds for which the server wants no further request."""


class TopicMissing(NewsroomError):
    """The brokers answer, but the topic does not exist."""
