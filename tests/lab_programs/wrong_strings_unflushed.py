"""Wrong: the program ends with its records still in the producer's queue."""

import os

from kit import producer

sender = producer(**{"linger.ms": 500})
for number in range(21):
    for word in ("value", "filter"):
        sender.produce(os.environ["LAB_OUTPUT"], f"{word}{number}", f"key{number}")
        print(f'Sending message with key "key{number}" and value "{word}{number}"')  # noqa: T201
os._exit(0)
