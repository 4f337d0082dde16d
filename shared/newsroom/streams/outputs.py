"""What a stream service may write: a record that its topic refuses would stop the service at each start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST_BYTES = 990_000
"""The largest record, without its frame, that the Kafka client sends by default (1 MB)."""


def size_of(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, Any]] = ()) -> int:
    """The bytes of a record without its frame."""
    extra = sum(len(name.encode()) + len(text or b"") for name, text in headers)
    return len(key or b"") + len(value or b"") + extra
