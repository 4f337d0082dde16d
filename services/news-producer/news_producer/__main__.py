"""Entry point of news-producer: settings first, so that `--help` and a wrong setting load no Kafka client."""

from __future__ import annotations

import sys

from news_producer.settings import ProducerSettings
from newsroom.lifecycle import run_service


def main() -> None:
    """Run the service."""
    sys.exit(run_service("news-producer", ProducerSettings, "news_producer.main:run"))


if __name__ == "__main__":
    main()
