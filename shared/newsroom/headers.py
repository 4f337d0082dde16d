"""Headers of records that others wrote: Kafka takes any bytes as a header's name, Python's client only UTF-8."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

UNREADABLE = "\ufffd"
"""The name of a header whose own name is not UTF-8: the client does not give its bytes."""

WITHOUT_NAME = "(<NULL>"
"""How Python shows a header without a name. To read that name would crash the process."""

_headers = methodcaller("headers")
"""Not `message.headers()`: in a loop Python 3.11 stops to check what such a call left behind, and the client's error
would come out of a later, innocent line."""


def mend_headers(message: Any) -> None:  # noqa: ANN401 - the client has no types
    """Make `message.headers()` return, whatever the names are; a header with an unreadable name keeps its value.

    The client's first call raises an error, and the next one returns headers without a name.
    """
    try:
        _headers(message)
    except (SystemError, UnicodeDecodeError):
        message.set_headers(_readable(message))


def headers_of(message: Any) -> tuple[tuple[str, bytes | None], ...]:  # noqa: ANN401
    """The headers of a message as bytes, whatever the names are."""
    mend_headers(message)
    headers = message.headers() or ()
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in headers)


def headers_of_all(messages: Sequence[Any]) -> list[list[tuple[str, bytes | None]] | None]:
    """The headers of one or more messages, whatever the names are; without a Python call for each message."""
    headers: list[list[tuple[str, bytes | None]] | None] = []
    calls = map(type(messages[0]).headers, messages)
    while len(headers) < len(messages):
        try:
            headers.extend(calls)
        except (SystemError, UnicodeDecodeError):
            # What came before the error is in the list. This was the first call for this message.
            headers.append(_readable(messages[len(headers)]))
    return headers


def _readable(message: Any) -> list[tuple[str, bytes | None]]:  # noqa: ANN401
    try:
        headers = _headers(message) or []
    except (SystemError, UnicodeDecodeError):
        return []
    return [(UNREADABLE, header[1]) if repr(header).startswith(WITHOUT_NAME) else header for header in headers]
