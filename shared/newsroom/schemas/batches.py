"""Decodes many Avro values of one schema in one call: a call for each record costs more than its fields.

The values become the items of one Avro array. An item has a last field for what lies between its record and the next
one, which is a marker and the prefix of the next value. A body that is longer or shorter than its record has its marker
somewhere else, so the call fails or what lies between is wrong: then nothing of it is used.
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
"""Random, so that no record contains it."""

BETWEEN = f"between_{MARKER.hex()}"
"""The name of an item's last field; no field of a record has this name."""

SAMPLE = 20
"""How many values are looked at before all are decoded. Values of several schemas mostly alternate."""


def _array_of(schema: Any, between_bytes: int) -> Any:  # noqa: ANN401 - parsed schemas are of any JSON type
    between = {"type": "fixed", "name": "newsroom_batch.Between", "size": between_bytes}
    fields = [*schema["fields"], {"name": BETWEEN, "type": between}]
    # Under another name a record that refers to itself cannot be parsed: the one inside would lack the last field.
    item = {**schema, "name": "newsroom_batch.Item", "fields": fields}
    return fastavro.parse_schema({"type": "array", "items": item})


class BatchReader:
    """Decodes values that one schema wrote behind one prefix, in the shape of the reader schema if there is one.

    Raises:
        Exception: a schema is not a record's, or refers to itself.
    """

    def __init__(self, prefix: bytes, writer: Any, reader: Any) -> None:  # noqa: ANN401 - parsed schemas
        self._prefix = prefix
        self._between = MARKER + prefix
        self._writer = _array_of(writer, len(self._between))
        self._reader = _array_of(reader, len(self._between)) if reader else None

    def read(self, values: Sequence[bytes]) -> list[dict[str, Any]] | None:
        """Decode all values; None if any of them is not the prefix and exactly one record."""
        # `between` has the prefix of each value but the first one.
        if not values or not all(value.startswith(self._prefix) for value in values[:SAMPLE]):
            return None
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, "long", len(values))
        buffer.write(MARKER.join(values)[len(self._prefix) :] + self._between + b"\0")
        size = buffer.tell()
        buffer.seek(0)
        try:
            items: Any = fastavro.schemaless_reader(buffer, self._writer, self._reader)
        except Exception:  # noqa: BLE001 - fastavro may raise any exception, depending on the bytes
            return None
        between = [item.pop(BETWEEN) for item in items]
        return items if buffer.tell() == size and between.count(self._between) == len(values) else None
