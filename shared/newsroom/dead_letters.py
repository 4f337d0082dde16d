"""The headers of a dead letter: what it says about its origin, whichever service sent it."""

from __future__ import annotations

LONGEST_ERROR = 1000
"""How many characters of an error a header holds. An error may quote the record, so it needs a limit."""

WHOLE_BYTES = "dlq.value.bytes"
"""The header with the size of a value that was too large for the dead-letter topic, and was cut."""


REPLAYS = "dlq.replays"
"""The header with how often `newsroom dlq replay` has sent the record again. It is one of the record's own headers, so
a dead letter of the same record keeps it."""


def origin_headers(
    topic: str, partition: int | None, offset: int | None, timestamp: int, *, error: str, group: str
) -> list[tuple[str, bytes | None]]:
    """Where a record comes from, why it is here, and which group could not use it; `timestamp` in ms.

    They say what the headers `__connect.errors.*` say of a record that Kafka Connect could not use.
    """
    origin = {
        "dlq.origin.topic": topic,
        "dlq.origin.partition": partition,
        "dlq.origin.offset": offset,
        "dlq.origin.timestamp": timestamp,
        "dlq.error": error[:LONGEST_ERROR],
        "dlq.consumer.group": group,
    }
    return [(name, str(value).encode(errors="backslashreplace")) for name, value in origin.items()]
