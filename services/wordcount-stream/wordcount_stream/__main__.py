"""Entry point of wordcount-stream: settings first, so that `--help` and a wrong setting load no Kafka client."""

from __future__ import annotations

import sys

from newsroom.lifecycle import run_service
from wordcount_stream.settings import WordcountSettings


def main() -> None:
    """Run the service."""
    sys.exit(run_service("wordcount-stream", WordcountSettings, "wordcount_stream.main:run"))


if __name__ == "__main__":
    main()
