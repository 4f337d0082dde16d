"""What goes wrong with Kafka Connect; only this job speaks with it.

NewsroomError
├── ConnectUnavailable  Connect did not answer in time, or does not run the connector; may be tried again
└── ConnectorRefused    Connect does not take the connector's configuration
"""

from __future__ import annotations

from newsroom.errors import NewsroomError, TransientError


class ConnectUnavailable(TransientError):
    """Connect did not answer, or did not start the connector, before the deadline."""


class ConnectorRefused(NewsroomError):
    """Connect refused the connector's configuration."""
