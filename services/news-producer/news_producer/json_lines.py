"""JSON lines: one object a line. A number keeps its own text, and what is not JSON is refused."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from news_producer.errors import BadFile, BadInput
from news_producer.items import Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from news_producer.lines import Fields

RECORD_SEPARATOR = "\x1e"
"""The first character of each line in JSON text sequences (RFC 7464)."""

ARRAY, OBJECT = "a JSON array", "a JSON object of several lines"

MORE = "Extra data"
"""What Python says of a line that goes on after its value, as `{…},` does."""

LONGEST_INTEGER = 4300
"""Digits that Python reads as an integer; a longer number has no type in Avro anyway."""


def json_parser(name: str, *, finite: bool) -> Callable[[str], Fields]:
    """Return the function that parses a line of a file; `finite` refuses numbers that a double cannot hold.

    It raises `BadInput` for a line that is not an object, and `BadFile` if the first line shows that the file is not
    JSON lines.
    """
    parse_number = _finite_number if finite else Number
    decoder = json.JSONDecoder(
        object_pairs_hook=_object,
        parse_float=parse_number,
        parse_int=lambda text: int(text) if text != "-0" and len(text) <= LONGEST_INTEGER else parse_number(text),
        parse_constant=_refuse_constant,
    )
    first = True

    def parse(line: str) -> Fields:
        nonlocal first
        is_first, first = first, False
        try:
            value = decoder.decode(line.removeprefix(RECORD_SEPARATOR))
        except (ValueError, RecursionError) as error:
            if is_first and getattr(error, "msg", "") != MORE:
                _refuse_pretty_print(line, name)
            raise BadInput(f"not valid JSON: {error}") from error
        if is_first and isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            raise _not_lines(name, ARRAY)
        if not isinstance(value, dict):
            raise BadInput(f"not a JSON object (got {type(value).__name__})")
        return value

    return parse


def _refuse_pretty_print(line: str, name: str) -> None:
    line = line.strip()
    if line[0] in "{[" and line[-1] in "{[,":
        raise _not_lines(name, ARRAY if line[0] == "[" else OBJECT)


def _not_lines(name: str, what: str) -> BadFile:
    query = "'.[]'" if what == ARRAY else "."
    return BadFile(f"{name} is {what}, not one object a line: convert it with jq -c {query}")


def _object(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"an object has the name {twice!r} twice")
    return fields


def _refuse_constant(text: str) -> NoReturn:
    raise BadInput(f"not valid JSON: {text} is not a JSON number")


def _finite_number(text: str) -> Number:
    number = Number(text)
    if math.isinf(number):
        raise BadInput(f"the number {text[:20]} is too large for a double")
    return number
