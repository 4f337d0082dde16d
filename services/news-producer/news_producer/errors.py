"""Errors that only the producer raises; `newsroom.errors` has the shared ones."""

from __future__ import annotations

from newsroom.errors import NewsroomError, TransientError


class BadInput(NewsroomError):
    """The producer cannot send a record of a source. The message begins with the record's file and line."""


class FeedUnavailable(TransientError):
    """A feed did not answer, or its answer is not a feed."""


class TopicMissing(NewsroomError):
    """The brokers answer, but the topic does not exist."""
