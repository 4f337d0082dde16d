"""Records as librdkafka's client gives them, whose own class cannot be made."""

from types import SimpleNamespace
from typing import Any


def message(topic: str, partition: int, offset: int, key: bytes | None = None, value: bytes | None = None) -> Any:  # noqa: ANN401
    """A record without an error."""
    return SimpleNamespace(
        error=lambda: None,
        topic=lambda: topic,
        partition=lambda: partition,
        offset=lambda: offset,
        timestamp=lambda: (1, 1_700_000_000_000),
        key=lambda: key,
        value=lambda: value,
        headers=lambda: None,
    )
