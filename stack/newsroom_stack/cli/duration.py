"""Durations such as `60s` and `5m`."""

from __future__ import annotations

import re

from newsroom_stack.errors import StackError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Convert `60s`, `5m`, `1.5h`, `500ms` or a bare number to seconds.

    Raises:
        StackError: the text is not a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise StackError(f"'{text}' is not a duration: write 60s, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2] or "s"]
