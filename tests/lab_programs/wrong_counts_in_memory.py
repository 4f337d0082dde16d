"""Wrong for the word count: the counts are in memory, and a start begins at zero."""

import os
import re
from collections import Counter

from confluent_kafka import Message
from kit import commit, consumer, producer, serve

member, table = consumer(), producer()
counts: Counter[str] = Counter()


def handle(batch: list[Message]) -> None:
    for message in batch:
        counts.update(re.findall(r"\w+", message.value().decode().lower()))
    for word, number in counts.items():
        table.produce(os.environ["LAB_OUTPUT"], str(number), word)
    table.flush()
    commit(member)


serve(member, handle)
