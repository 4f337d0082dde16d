"""Asks an address which security protocol it speaks. A client of the wrong one sees only a closed connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass

STEP_SECONDS = 2.0
"""How long the connection and each answer may take."""

SASL_HANDSHAKE, VERSION = 17, 1
NO_LOGIN_HERE = 34
"""ILLEGAL_SASL_STATE: what a listener without SASL answers to the request."""

MOST_BYTES = 4096
"""An answer names a few mechanisms."""


@dataclass(frozen=True)
class Listener:
    """What an address speaks; `mechanisms` are those of its login, if it has one."""

    protocol: str
    mechanisms: tuple[str, ...] = ()
    wants_certificate: bool = False
    """Whether it closes a connection without a client certificate. It does not tell then whether it has a login."""


def split_address(address: str) -> tuple[str, int]:
    """The host and the port of `host:port`; the host may be an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def listener_at(address: str) -> Listener | None:
    """The Kafka listener at an address; None if it does not answer as one."""
    for tls in (True, False):
        try:
            return _ask(address, tls=tls)
        except ssl.SSLError as error:
            # The question checks no certificate, so the other side's alert is about the one that it lacks. With TLS 1.3
            # the alert comes after the handshake.
            if "CERTIFICATE" in (error.reason or ""):
                return Listener("SSL", wants_certificate=True)
        except (OSError, struct.error, UnicodeDecodeError):
            continue
    return None


def _ask(address: str, *, tls: bool) -> Listener:
    host, port = split_address(address)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection((host, port), STEP_SECONDS))
        if tls:
            connection = stack.enter_context(_any_certificate().wrap_socket(connection, server_hostname=host))
        mechanism, client = b"?", b"newsroom-probe"
        header = struct.pack(f">hhih{len(client)}s", SASL_HANDSHAKE, VERSION, 0, len(client), client)
        body = struct.pack(f">h{len(mechanism)}s", len(mechanism), mechanism)
        connection.sendall(struct.pack(">i", len(header + body)) + header + body)
        return _listener(connection.recv(MOST_BYTES), "SSL" if tls else "PLAINTEXT")


def _listener(answer: bytes, transport: str) -> Listener:
    _size, _correlation, error, number = struct.unpack_from(">iihi", answer)
    if error == NO_LOGIN_HERE:
        return Listener(transport)
    names, place = [], struct.calcsize(">iihi")
    for _ in range(number):
        (length,) = struct.unpack_from(">h", answer, place)
        names.append(answer[place + 2 : place + 2 + length].decode())
        place += 2 + length
    return Listener(f"SASL_{transport}", tuple(names))


def _any_certificate() -> ssl.SSLContext:
    # Nothing secret is sent: the question is only whether the other side speaks TLS.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
