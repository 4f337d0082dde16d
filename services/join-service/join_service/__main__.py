"""Entry point of join-service: settings first, so that `--help` and a wrong setting load no Kafka client."""

from __future__ import annotations

import sys

from join_service.settings import JoinSettings
from newsroom.lifecycle import run_service


def main() -> None:
    """Run the service."""
    sys.exit(run_service("join-service", JoinSettings, "join_service.main:run"))


if __name__ == "__main__":
    main()
