"""Decodes many Avro bodies of one schema in one call: a call for each record costs more than its fields.

The bodies become the items of one Avro array, with a marker behind each. A body that is longer or shorter than its
record has a marker somewhere else, so the call fails or a marker is wrong: then nothing of it is used.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import fastavro

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKER_BYTES = 16
MARKER = os.urandom(MARKER_BYTES)
"""Random, so that no record holds it."""


def _array_of(schema: Any) -> Any:  # noqa: ANN401 - parsed schemas are of any JSON type
    marker = {"type": "fixed", "name": "newsroom_batch.Marker", "size": MARKER_BYTES}
    fields = [{"name": "record", "type": schema}, {"name": "marker", "type": marker}]
    item = {"type": "record", "name": "newsroom_batch.Item", "fields": fields}
    return fastavro.parse_schema({"type": "array", "items": item})


class BatchReader:
    """Decodes bodies that one schema wrote, in the shape of the reader schema if there is one.

    Raises:
        Exception: the schemas cannot be put into an array.
    """

    def __init__(self, writer: Any, reader: Any) -> None:  # noqa: ANN401 - parsed schemas
        self._writer = _array_of(writer)
        self._reader = _array_of(reader) if reader else None

    def read(self, bodies: Sequence[bytes]) -> list[dict[str, Any]] | None:
        """Decode all bodies; None if any of them is not exactly one record."""
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, "long", len(bodies))
        buffer.write(MARKER.join(bodies) + MARKER + b"\0")
        size = buffer.tell()
        buffer.seek(0)
        try:
            items: Any = fastavro.schemaless_reader(buffer, self._writer, self._reader)
        except Exception:  # noqa: BLE001 - fastavro may raise any exception, depending on the bytes
            return None
        whole = buffer.tell() == size and len(items) == len(bodies) and all(item["marker"] == MARKER for item in items)
        return [item["record"] for item in items] if whole else None
