"""Entry point of status-api: settings first, so that `--help` and a wrong setting load no Kafka client."""

from __future__ import annotations

import sys

from newsroom.lifecycle import run_service
from status_api.settings import StatusSettings


def main() -> None:
    """Run the service."""
    sys.exit(run_service("status-api", StatusSettings, "status_api.main:run"))


if __name__ == "__main__":
    main()
