"""Reads certificate files before a client does: librdkafka's error names neither the file nor the reason."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_authorities(option: str, location: Path) -> None:
    """Check a file of CA certificates.

    Raises:
        ValueError: it cannot be read, or has none.
    """
    with _readable(option, location, "no CA certificates in PEM format"):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=location)


def check_pair(option: str, location: Path, key: Path, password: str) -> None:
    """Check a client's certificate together with its key.

    Raises:
        ValueError: one of them cannot be read, or they do not fit.
    """
    problem = "no certificate in PEM format that fits the key of --ssl-key-location and its password"
    with _readable(option, location, problem):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(location, key, lambda: password)


@contextmanager
def _readable(option: str, location: Path, problem: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{option} {location}: {problem}") from error
    except OSError as error:
        raise ValueError(f"{option} {location}: cannot be read ({error.strerror})") from error
