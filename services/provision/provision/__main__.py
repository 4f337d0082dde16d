"""Entry point of provision: settings first, so that `--help` and a wrong setting load no Kafka client."""

from __future__ import annotations

import sys

from newsroom.lifecycle import run_service
from provision.settings import ProvisionSettings


def main() -> None:
    """Run the job."""
    # A job that a signal stopped is not done: compose must not start the services.
    sys.exit(run_service("provision", ProvisionSettings, "provision.main:serve", stopped_code=1))


if __name__ == "__main__":
    main()
