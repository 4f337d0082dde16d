"""The addresses of a stack on this machine: `newsroom up` uses them, and the services take them by default."""

from __future__ import annotations

import os

from newsroom.errors import SettingsError

BROKER_PORTS = (29092, 39092, 49092)
"""The brokers' client listeners."""

REGISTRY_PORT = 8081

OFFSET_VARIABLE = "NEWSROOM_PORT_OFFSET"
"""Moves every port of a stack, so that two clones can run side by side."""

LARGEST_OFFSET = 15000


def bootstrap_of(offset: int) -> str:
    """The brokers of the stack with this offset, as a client's bootstrap.servers."""
    return ",".join(f"localhost:{offset + port}" for port in BROKER_PORTS)


def registry_url_of(offset: int) -> str:
    """The registry of that stack: its Confluent-compatible API."""
    return f"http://localhost:{offset + REGISTRY_PORT}/apis/ccompat/v7"


def port_offset() -> int:
    """The offset that the environment names, or 0.

    Raises:
        SettingsError: it is not a number, or too large.
    """
    text = os.environ.get(OFFSET_VARIABLE) or "0"
    try:
        return offset_of(text)
    except ValueError as error:
        raise SettingsError(f"{OFFSET_VARIABLE}={text!r}: {error}") from error


def offset_of(text: str) -> int:
    """Read an offset.

    Raises:
        ValueError: it is not a number, or too large.
    """
    if not text.isascii() or not text.isdigit() or int(text) > LARGEST_OFFSET:
        raise ValueError(f"it must be a whole number from 0 to {LARGEST_OFFSET}")
    return int(text)
