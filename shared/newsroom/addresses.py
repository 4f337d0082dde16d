"""The addresses of a stack on this machine: `newsroom up` uses them, and the services take them by default."""

from __future__ import annotations

import os
import re

from newsroom.errors import SettingsError

BROKER_PORTS = (29092, 39092, 49092)
"""The brokers' client listeners."""

REGISTRY_PORT = 8081

OFFSET_VARIABLE = "NEWSROOM_PORT_OFFSET"
"""Moves every port of a stack, so that two clones can run side by side."""

LARGEST_OFFSET = 15000


WEB_ADDRESS = re.compile(r"\b([A-Za-z][\w+.-]*://)([^\s/?#]*@)?(\S*[^\s:.,;)'\"])?")
"""An address in a text: its scheme, the user and password, the rest."""

PARAMETER = re.compile(r"([?&;]([^=&;#\s]*)=)([^&;#\s]+)")
SECRET_NAME = re.compile(r"key|token|secret|pass|pwd|auth|sig|session|credential|hash|code|private", re.IGNORECASE)
SECRET_VALUE = re.compile(r"[\w~.-]{20,}")
"""What no person writes: a parameter of this form is an access token, whatever its name."""

MASK = "***"


def masked(text: str) -> str:
    """Return a text with the secrets of its web addresses masked: user, password and parameters like `token=`."""
    return WEB_ADDRESS.sub(_masked_address, text)


def _masked_address(match: re.Match[str]) -> str:
    user = f"{MASK}@" if match[2] else ""
    return f"{match[1]}{user}{PARAMETER.sub(_masked_parameter, match[3] or '')}"


def _masked_parameter(match: re.Match[str]) -> str:
    is_secret = SECRET_NAME.search(match[2]) or SECRET_VALUE.fullmatch(match[3])
    return f"{match[1]}{MASK if is_secret else match[3]}"


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
