"""Schemas in files. Reading one needs no client of a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fastavro

from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def read_schema(path: Path) -> dict[str, Any]:
    """Read an Avro schema file.

    Raises:
        SettingsError: the file is missing, or is not a valid schema of a record.
    """
    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
        fastavro.parse_schema(schema)
    except OSError as error:
        raise SettingsError(f"schema file {path} cannot be read: {error.strerror}") from error
    except Exception as error:  # fastavro may raise any exception, depending on the text
        raise SettingsError(f"schema file {path} is not an Avro schema: {error}") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise SettingsError(f"schema file {path} is not a record schema")
    return schema
