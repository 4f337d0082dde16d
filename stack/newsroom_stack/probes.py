"""Readiness probes: what a process must answer before others rely on it.

They speak the protocols themselves, a few bytes each. A Kafka client takes longer to import than `newsroom ps` may
take, and an assertion of librdkafka would end the supervisor that probes with it.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Literal

from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROBE_SECONDS = 2.0
"""Deadline of one probe: a process that answers later is not ready."""

HTTP_OK = 200

FAILED = " is FAILED"
"""In what `connect_ready` says of a connector or task that Connect does not start again by itself."""

METADATA_REQUEST = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)
"""Length, API key (Metadata), version 1, correlation id, no client id, no topics."""

_LOG = b"__cluster_metadata"
_QUESTION = struct.pack(f">hhihxBB{len(_LOG)}sBixxx", 55, 0, 1, -1, 2, len(_LOG) + 1, _LOG, 2, 0)
QUORUM_REQUEST = struct.pack(">i", len(_QUESTION)) + _QUESTION
"""Length, API key (DescribeQuorum), version 0, correlation id, no client id, one topic with its partition 0."""
MOST_BYTES = 4096
QUORUM_ERROR = struct.Struct(f">i5xh2x{len(_LOG)}xx4xh")
"""The errors of the whole answer and of its partition. A controller that does not lead answers with one."""


@dataclass(frozen=True)
class Probe:
    """A question and its address, as plain values, so that the state file can carry it to other commands."""

    kind: Literal["http", "broker", "connect"]
    target: str

    def missing(self) -> str | None:
        """None when the process is ready, otherwise what is missing."""
        return {"http": http_ready, "broker": broker_ready, "connect": connect_ready}[self.kind](self.target)


def http_ready(url: str) -> str | None:
    """None when the URL answers 200, otherwise its answer."""
    try:
        status, text = http_get(url)
    except OSError as error:
        return _silence(url, error)
    return None if status == HTTP_OK else f"{url} answers {status}: {_what_is_missing(text)}"


def _what_is_missing(text: str) -> str:
    """What /readyz of our services says is missing, or the start of any other answer."""
    try:
        return "; ".join(json.loads(text)["missing"].values())
    except (ValueError, LookupError, TypeError, AttributeError):
        return text.strip()[:200]


def http_get(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, str]:
    """The status and the body that a URL of this machine answers; the user's proxy cannot reach it and is not asked.

    Raises:
        OSError: nothing answers in time.
    """
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), PROBE_SECONDS) as connection, connection.makefile("rb") as stream:
        # In HTTP/1.0 the end of the connection is the end of the answer.
        connection.sendall(request_header(f"/{path}", {"Host": address, "Connection": "close", **headers}))
        head, _, body = stream.read().partition(b"\r\n\r\n")
    words = head.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0, body.decode(errors="replace")


def request_header(path: str, headers: Mapping[str, str]) -> bytes:
    """The header of an HTTP/1.0 request."""
    lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def connect_ready(url: str) -> str | None:
    """None when every connector of this Connect worker runs with its tasks, otherwise what does not, and why."""
    address = f"{url}/connectors?expand=status"
    try:
        code, text = http_get(address)
        connectors: dict[str, Any] = json.loads(text) if code == HTTP_OK else {}
    except (OSError, ValueError) as error:
        return _silence(address, error)
    if code != HTTP_OK:
        return f"{address} answers {code}: {text.strip()[:200]}"
    for name, connector in sorted(connectors.items()):
        status = connector["status"]
        parts = {f"connector {name}": status["connector"]}
        parts |= {f"task {task['id']} of connector {name}": task for task in status["tasks"]}
        for what, part in parts.items():
            if part["state"] != "RUNNING":
                return f"{what} is {part['state']}{_reason(part.get('trace', ''))}"
        if not status["tasks"]:
            return f"connector {name} has no task yet"
    return None if connectors else f"{url} has no connector yet"


def _reason(trace: str) -> str:
    """The first line of a Java trace, and the last cause below it."""
    lines = trace.splitlines()
    causes = [line for line in lines if line.startswith("Caused by: ")]
    text = " ".join(line.strip() for line in (*lines[:1], *causes[-1:]))
    return f": {text}" if text else ""


def broker_ready(target: str) -> str | None:
    """None when this broker serves a living cluster, otherwise what is missing.

    `target` is the broker's address and, after a space, the controllers' addresses with commas, if they are to be
    asked. A broker of KRaft answers clients once the controller has registered it, and lists no broker that is fenced.
    It is ready without the other brokers, as long as there is an active controller: with a lost broker, the stack would
    otherwise never be healed. Without a controller it lists for ever those that lived last, itself among them.
    """
    address, _, controllers = target.partition(" ")
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), PROBE_SECONDS) as connection,
            connection.makefile("rb") as stream,
        ):
            connection.sendall(METADATA_REQUEST)
            listed = (host, int(port)) in _listed(stream)
    except (OSError, struct.error) as error:
        return _silence(address, error)
    if not listed:
        return f"{address} is not among the brokers that it lists: the controller has fenced it"
    if controllers and not _one_leads(controllers.split(",")):
        return f"{address} answers, but the cluster has no active controller: start the other brokers"
    return None


def _one_leads(controllers: list[str]) -> bool:
    """Whether one of the controllers leads the quorum. All are asked at once: one that is paused answers nothing."""
    with contextlib.ExitStack() as stack:
        waiting: list[socket.socket] = []
        for controller in controllers:
            host, _, port = controller.rpartition(":")
            with contextlib.suppress(OSError):
                connection = stack.enter_context(socket.create_connection((host, int(port)), PROBE_SECONDS))
                connection.sendall(QUORUM_REQUEST)
                waiting.append(connection)
        deadline = Deadline(PROBE_SECONDS)
        while waiting and not deadline.passed():
            for connection in select.select(waiting, [], [], deadline.left())[0]:
                waiting.remove(connection)
                if _leads(connection):
                    return True
    return False


def _leads(connection: socket.socket) -> bool:
    try:
        _, error, partition_error = QUORUM_ERROR.unpack_from(connection.recv(MOST_BYTES))
    except (OSError, struct.error):
        return False
    return bool(error == partition_error == 0)


def _listed(stream: IO[bytes]) -> Iterator[tuple[str, int]]:
    """The host and port of each broker in the answer: length, correlation id, brokers."""
    *_, count = struct.unpack(">iii", stream.read(12))
    for _ in range(count):
        _, length = struct.unpack(">ih", stream.read(6))
        host = stream.read(length).decode(errors="replace")
        port, rack_length = struct.unpack(">ih", stream.read(6))
        stream.read(max(0, rack_length))
        yield host, port


def _silence(address: str, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{address} does not answer ({error.strerror or error})"
    return f"{address} does not answer as it should ({error})"
