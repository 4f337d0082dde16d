"""gunicorn's threaded worker, with one change: no thread ever waits for a client.

gunicorn gives a thread to each connection, and the thread waits for the request's header and for the client to take
the answer. A few half-sent requests hold all threads then. Here the poller reads headers and sends answers, each with
a time limit, and a thread only computes an answer.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gunicorn import http
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker
from typing_extensions import override

from status_api.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from status_api.events import Feed

HEADER_SECONDS = 5.0
"""How long a client may take to send a request's header, and how long a kept connection may be idle."""
SEND_SECONDS = 30.0
"""How long a client may take to receive an answer."""
LINGER_SECONDS = 2.0
"""How long a closed connection stays for what the client still sends: a reset could cut off the answer."""
SWEEP_SECONDS = 0.5
"""How often connections are looked through for those whose time is over."""
HEADER_BYTES = 65536
CHUNK_BYTES = 65536
CONNECTIONS = 500
"""How many connections may be open. A further one takes the place of the one that has been idle for longest."""
END_OF_HEADER = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
BODY_HEADERS = frozenset({"CONTENT-LENGTH", "TRANSFER-ENCODING"})
STATUSES: dict[type[Exception], HTTPStatus] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.ParseException: HTTPStatus.BAD_REQUEST,
}
"""The status for each error of gunicorn's parser; the first class that fits counts."""


class Outbox(socket.socket):
    """A connection's socket, which never blocks: what is sent waits here until the client takes it."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        super().setblocking(False)
        self._waiting: deque[memoryview] = deque()
        self._chunked = False
        self.following: tuple[Feed, int] | None = None
        """The feed whose events follow the answer, and the number of the event after which they begin."""

    @override
    def setblocking(self, flag: bool, /) -> None:
        """Stay as it is: gunicorn would make it block."""

    @override
    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self._waiting.append(memoryview(data))

    @override
    def send(self, data: Any, flags: int = 0, /) -> int:
        self.sendall(data)
        return len(data)

    def follow(self, feed: Feed, number: int) -> None:
        """Let the answer that is being made go on with the events of a feed after this number."""
        self.following = feed, number

    def go_on(self) -> None:
        """Take back the end of the answer: parts follow."""
        self._chunked = bool(self._waiting) and self._waiting[-1] == LAST_CHUNK
        if self._chunked:
            self._waiting.pop()

    def send_part(self, data: bytes) -> None:
        """Send a further part of the answer."""
        self.sendall(b"%X\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def end_parts(self) -> None:
        """End the answer."""
        if self._chunked:
            self.sendall(LAST_CHUNK)

    def flush(self) -> bool:
        """Send what the client takes now; return whether everything is sent.

        Raises:
            OSError: the client is gone.
        """
        while self._waiting:
            part = self._waiting[0]
            try:
                sent = super().send(part)
            except BlockingIOError:
                return False
            if sent < len(part):
                self._waiting[0] = part[sent:]
            else:
                self._waiting.popleft()
        return True


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves any number of slow connections with few threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
        super().__init__(*args, **kwargs)
        self._open: dict[TConn, None] = {}
        """The connections that wait for their client, in the order in which they began to wait."""
        self._header: dict[TConn, bytes] = {}
        """What has come of the header, of those that wait for one."""
        self._sweep_at = 0.0
        self._streams: Streams | None = None
        """The connections that are sent events; None before the first one, because the poller comes with the loop."""

    def _stream(self, conn: TConn) -> None:
        if self._streams is None:
            self._streams = Streams(self.poller, self.method_queue.defer, partial(self._send, keep=False))
        self._streams.add(conn)

    @override
    def accept(self, listener: socket.socket) -> None:
        try:
            accepted, address = listener.accept()
            # Header and body are two parts: otherwise the second waits up to 40 ms for the client's acknowledgement.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # the client is gone already
            return
        self.nr_conns += 1
        if self.nr_conns >= CONNECTIONS:
            self._make_room()
        conn = TConn(self.cfg, Outbox(accepted), address, listener.getsockname())
        conn.parser = http.get_parser(self.cfg, conn.sock, address)
        conn.data_ready = True
        self._await_header(conn)

    def _make_room(self) -> None:
        idle = next(iter(self._header), None)
        if idle is not None:
            self._drop(idle)

    def _await_header(self, conn: TConn) -> None:
        self._header[conn] = b""
        self._wait(conn, selectors.EVENT_READ, self._read_header, HEADER_SECONDS)
        ahead = conn.parser.unreader.take_buffered()
        if ahead:  # a client may send its next request before it has the answer
            self._take_header(conn, ahead)

    def _read_header(self, conn: TConn) -> None:
        try:
            data = conn.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
            return
        self._take_header(conn, data)

    def _take_header(self, conn: TConn, data: bytes) -> None:
        # A line break before a request is allowed, and would look like the end of a header.
        header = self._header[conn] = (self._header[conn] + data).lstrip(b"\r\n")
        if END_OF_HEADER in header or len(header) > HEADER_BYTES:
            self._wait_no_more(conn)
            if END_OF_HEADER in header:
                conn.parser.unreader.unread(header)
                self.enqueue_req(conn)
            else:
                _write_problem(conn.sock, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The header is too long.")
                self._send(conn, keep=False)

    @override
    def handle_request(self, req: Any, conn: TConn) -> bool:
        if any(name in BODY_HEADERS for name, _ in req.headers):
            req.force_close()  # nobody reads a body here, so what follows it is not a request
        keep: bool = super().handle_request(req, conn)
        return keep

    @override
    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        good = not fs.cancelled() and fs.exception() is None
        if good and conn.sock.following is not None and self.alive:
            self._stream(conn)
        else:
            self._send(conn, keep=good and bool(fs.result()) and self.alive)

    def _send(self, conn: TConn, *, keep: bool) -> None:
        try:
            if not conn.sock.flush():
                if conn not in self._open:
                    send = partial(self._send, keep=keep)
                    self._wait(conn, selectors.EVENT_WRITE, send, SEND_SECONDS)
                return
            self._wait_no_more(conn)
            if keep:
                self._await_header(conn)
            else:
                conn.sock.shutdown(socket.SHUT_WR)
                self._wait(conn, selectors.EVENT_READ, self._linger, LINGER_SECONDS)
        except OSError:
            self._drop(conn)

    def _linger(self, conn: TConn) -> None:
        try:
            data = conn.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)

    def _wait(self, conn: TConn, event: int, then: Callable[[TConn], None], seconds: float) -> None:
        conn.timeout = time.monotonic() + seconds
        self._open[conn] = None
        self.poller.register(conn.sock, event, lambda _: then(conn))

    def _wait_no_more(self, conn: TConn) -> None:
        self._header.pop(conn, None)
        if conn in self._open:
            del self._open[conn]
            self.poller.unregister(conn.sock)

    def _drop(self, conn: TConn) -> None:
        self._wait_no_more(conn)
        self.nr_conns -= 1
        conn.close()

    @override
    def murder_pending(self) -> None:
        """Close the connections whose time is over. gunicorn calls this after each turn of its loop."""
        now = time.monotonic()
        if now < self._sweep_at and self.alive:
            return
        self._sweep_at = now + SWEEP_SECONDS
        # A worker that stops still sends its answers, and waits for no further request.
        if self._streams is not None:
            if self.alive:
                self._streams.sweep()
            else:
                self._streams.close()
        late = [conn for conn in self._open if conn.timeout <= now or (not self.alive and conn in self._header)]
        for conn in late:
            self._drop(conn)

    @override
    def handle_error(self, req: Any, client: Outbox, addr: Any, exc: Exception) -> None:
        status = next((status for kind, status in STATUSES.items() if isinstance(exc, kind)), None)
        if status is None:
            self.log.error("a request failed", exc_info=exc)
            status, detail = HTTPStatus.INTERNAL_SERVER_ERROR, "An error in the status API; see its log."
        else:
            detail = f"The request cannot be read: {exc}"
        _write_problem(client, status, detail)


def _write_problem(client: Outbox, status: HTTPStatus, detail: str) -> None:
    """Answer with problem details, as the application does, where no application is asked."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body = json.dumps(problem).encode() + b"\n"
    header = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    client.sendall(header.encode() + body)
