"""Entry point of avro-consumer: settings first, so that `--help` and a wrong setting load no Kafka client."""

from __future__ import annotations

import sys

from avro_consumer.settings import AvroConsumerSettings
from newsroom.lifecycle import run_service


def main() -> None:
    """Run the service."""
    sys.exit(run_service("avro-consumer", AvroConsumerSettings, "avro_consumer.main:serve"))


if __name__ == "__main__":
    main()
