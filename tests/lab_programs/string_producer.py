"""Right: 42 records, and a line for each delivery."""

import os
import sys

from confluent_kafka import KafkaError, Message
from kit import producer

failures: list[KafkaError] = []


def delivered(error: KafkaError | None, message: Message) -> None:
    if error is not None:
        failures.append(error)
        return
    key, value = message.key().decode(), message.value().decode()
    print(f'Sending message with key "{key}" and value "{value}"')  # noqa: T201 - the task's line


sender = producer()
for number in range(21):
    for word in ("value", "filter"):
        sender.produce(os.environ["LAB_OUTPUT"], f"{word}{number}", f"key{number}", on_delivery=delivered)
sys.exit(1 if sender.flush(50) or failures else 0)
