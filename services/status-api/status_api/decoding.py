"""Shows a key or a value as text. Avro in the registry's wire format is decoded if a registry is set.

Not `newsroom.schemas`: its client and its patience are for services that must not lose a record, and cost 6 MB more.
"""

from __future__ import annotations

import codecs
import io
import json
import struct
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from newsroom.logs import get_logger

if TYPE_CHECKING:
    from status_api.neighbours import Registry

log = get_logger(__name__)

MOST_BYTES = 2000
"""How many bytes of a key or a value are shown."""
MOST_ASKED = 10
"""How many schemas one look asks the registry for."""
MOST_KEPT = 500
PREFIX = struct.Struct(">bI")
"""How a value in Confluent's wire format begins: a zero, and the id of its schema."""


def schema_id(data: bytes | None) -> int | None:
    """Return the id of the schema that a key or a value names; None if it names none."""
    return PREFIX.unpack_from(data)[1] if data is not None and len(data) >= PREFIX.size and data[0] == 0 else None


class Decoder:
    """Shows keys and values, for one look at a time. It asks the registry once for each schema."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._schemas: dict[int, Any] = {}
        """As fastavro takes them; None for one that is not an Avro schema."""
        self._left = MOST_ASKED

    def begin(self) -> None:
        """Begin a look, which may ask for so many schemas."""
        self._left = MOST_ASKED

    def text(self, data: bytes | None) -> str | None:
        """Return what can be shown: the decoded record as JSON, the text, or what it is and its first bytes."""
        number = schema_id(data)
        if data is None or number is None:
            return text_of(data)
        schema = self._schema(number)
        decoded = None if schema is None else _decoded(schema, data[PREFIX.size :])
        return text_of(data) if decoded is None else text_of(decoded.encode())

    def _schema(self, number: int) -> Any:  # noqa: ANN401 - parsed schemas are of any JSON type
        if number not in self._schemas:
            if self._registry is None or self._left <= 0:
                return None
            try:
                schema = self._parsed(f"/schemas/ids/{number}", {})
            except (OSError, HTTPException) as error:
                if getattr(error, "status", None) is None:
                    self._left = 0  # nobody answers: the reader of records does not wait once more
                return None
            except Exception as error:  # noqa: BLE001 - fastavro may raise any exception, depending on the schema
                log.debug("a schema cannot be used", schema=number, reason=repr(error))
                schema = None
            if len(self._schemas) >= MOST_KEPT:
                self._schemas.clear()
            self._schemas[number] = schema
        return self._schemas[number]

    def _parsed(self, path: str, named: dict[str, Any]) -> Any:  # noqa: ANN401
        """Ask for a schema, after those that it refers to."""
        # Imported here: few who watch a cluster look at its records.
        import fastavro  # noqa: PLC0415

        self._left -= 1
        if self._left < 0 or self._registry is None:
            raise TimeoutError("too many schemas for one look")
        version = self._registry.get(path)
        if version.get("schemaType", "AVRO") != "AVRO":
            return None
        for reference in version.get("references") or ():
            self._parsed(
                f"/subjects/{quote(reference['subject'], safe='')}/versions/{int(reference['version'])}", named
            )
        return fastavro.parse_schema(json.loads(version["schema"]), named)


def _decoded(schema: Any, body: bytes) -> str | None:  # noqa: ANN401
    """Return a decoded body as JSON; None if it is not of the schema."""
    import fastavro  # noqa: PLC0415

    stream = io.BytesIO(body)
    try:
        value = fastavro.schemaless_reader(stream, schema, None)
    except Exception:  # noqa: BLE001 - fastavro may raise any exception, depending on the bytes
        return None
    whole = stream.tell() == len(body)
    return json.dumps(value, ensure_ascii=False, default=_shown) if whole else None


def _shown(value: object) -> str:
    """What JSON has no type for: bytes, dates, decimals."""
    return value.hex(" ") if isinstance(value, bytes) else str(value)


def text_of(data: bytes | None) -> str | None:
    """Return what can be shown of a key or a value: its text, or what it is and its first bytes."""
    if data is None:
        return None
    shown = data[:MOST_BYTES]
    more = f"… ({len(data)} bytes)" if len(data) > MOST_BYTES else ""
    number = schema_id(data)
    if number is not None:
        return f"schema {number}: {shown[PREFIX.size :].hex(' ')}{more}"
    try:
        # A character may be cut in two at the end: only a whole text may have an error there.
        text = codecs.getincrementaldecoder("utf-8")().decode(shown, final=not more)
    except UnicodeDecodeError:
        return f"{shown.hex(' ')}{more}"
    return f"{text}{more}"
