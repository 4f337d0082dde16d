"""Errors of Kafka Connect, which only this job calls.

NewsroomError
├── ConnectUnavailable  Connect did not answer in time, or does not run the connector; a retry may help
├── ConnectorFailed     the connector or a task of it has failed
└── ConnectorRefused    Connect rejects the connector's configuration
"""

from __future__ import annotations

from newsroom.errors import NewsroomError, TransientError


class ConnectUnavailable(TransientError):
    """Connect did not answer, or did not start the connector, before the deadline."""


class ConnectorFailed(NewsroomError):
    """The connector or a task of it has failed, and Connect does not start it again."""


class ConnectorRefused(NewsroomError):
    """Connect rejected the connector's configuration."""
