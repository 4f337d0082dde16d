"""What the tasks with Avro share: headlines, their schemas in the registry, and what a value is."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import fastavro

from newsroom_stack.errors import StackError
from newsroom_stack.layout import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from newsroom_lab.lab import Lab

PREFIX_BYTES = 5
"""A zero byte, and the schema's id in four bytes."""

SCHEMA = REPOSITORY / "schemas" / "news.avsc"
OPTIONAL = REPOSITORY / "schemas" / "news-v2-optional.avsc"
REQUIRED = REPOSITORY / "schemas" / "news-v2-required.avsc"


def headlines(number: int, **more: str) -> list[dict[str, str]]:
    """Numbered headlines."""
    return [{"title": f"headline {place:04d}", "media": f"paper {place % 7}", **more} for place in range(number)]


def write_source(file: Path, lines: list[dict[str, str]]) -> str:
    """Write one JSON object a line; the file's name."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(file)


def _subject(lab: Lab, topic: str) -> str:
    return f"{lab.ports.registry_url}/subjects/{topic}-value"


def register(lab: Lab, topic: str, schema: Path) -> Callable[[dict[str, str]], bytes]:
    """Register the schema of a topic's values; what makes a value of fields. The subject is deleted at the end.

    Raises:
        StackError: the registry refused it.
    """
    text = schema.read_text(encoding="utf-8")
    forget_at_end(lab, topic)
    answer = lab.quietly_ask(f"{_subject(lab, topic)}/versions", "POST", {"schema": text})
    if not answer.is_success:
        raise StackError(f"subject {topic}-value: the registry refused its schema ({answer.text[:200]})")
    prefix = b"\0" + int(answer.json()["id"]).to_bytes(4, "big")
    parsed = fastavro.parse_schema(json.loads(text))

    def encode(fields: dict[str, str]) -> bytes:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, fields)
        return prefix + body.getvalue()

    return encode


def forget_at_end(lab: Lab, topic: str) -> None:
    """Delete a topic's subject when the round ends."""
    lab.finally_do(lambda: lab.quietly_ask(_subject(lab, topic), "DELETE"))


def schemas_of(lab: Lab, topic: str) -> dict[int, str]:
    """The versions of a topic's subject by their ids, the oldest first; none if there is no such subject."""
    base = f"{_subject(lab, topic)}/versions"
    answer = lab.quietly_ask(base)
    if not answer.is_success:
        return {}
    versions = [lab.quietly_ask(f"{base}/{version}").json() for version in answer.json()]
    return {int(version["id"]): str(version["schema"]) for version in versions}


def decode(value: bytes | None, schemas: Mapping[int, str], reader: str = "") -> dict[str, Any] | None:
    """A value's fields, in the shape of the reader's schema if there is one; None if it is not such a record."""
    if value is None or len(value) <= PREFIX_BYTES or value[0]:
        return None
    written = schemas.get(int.from_bytes(value[1:PREFIX_BYTES], "big"))
    if written is None:
        return None
    body = io.BytesIO(value[PREFIX_BYTES:])
    try:
        shape = fastavro.parse_schema(json.loads(reader)) if reader else None
        fields = fastavro.schemaless_reader(body, fastavro.parse_schema(json.loads(written)), shape)
    except (EOFError, ValueError, IndexError, TypeError, KeyError, fastavro.read.SchemaResolutionError):
        return None
    return fields if isinstance(fields, dict) and not body.read() else None
