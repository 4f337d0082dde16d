"""Wrong: it sends everything again when it is not sure."""

import os

from kit import producer

sender = producer()
for _ in range(2):
    for number in range(21):
        for word in ("value", "filter"):
            sender.produce(os.environ["LAB_OUTPUT"], f"{word}{number}", f"key{number}")
            print(f'Sending message with key "key{number}" and value "{word}{number}"')  # noqa: T201
    sender.flush()
