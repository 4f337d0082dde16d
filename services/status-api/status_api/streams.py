"""The connections that are sent events. The worker's loop calls all of this, so nothing here needs a lock or waits."""

from __future__ import annotations

import selectors
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gunicorn.workers.gthread import TConn

    from status_api.events import Feed

HEARTBEAT_SECONDS = 15.0
"""How often a comment is sent, so that neither side keeps a connection whose other end is gone."""
HEARTBEAT = b": heartbeat\n\n"
BEHIND_SECONDS = 30.0
"""For how long a reader may not take what it is sent."""
READ_BYTES = 4096
AT_ONCE = 20
"""How many readers are sent a new event in one turn of the loop: requests wait for a turn."""


@dataclass(eq=False)
class _Stream:
    conn: TConn
    feed: Feed
    number: int
    """The number of the last event that was sent."""
    writing: bool = False
    """Whether the poller waits for the reader to take more."""
    behind_since: float | None = None


class Streams:
    """Sends each reader its events, as fast as the reader takes them."""

    def __init__(
        self,
        poller: selectors.BaseSelector,
        wake: Callable[[Callable[[], None]], None],
        leave: Callable[[TConn], None],
    ) -> None:
        self._poller = poller
        self._wake = wake
        """Runs a function in the worker's loop; any thread may call it."""
        self._leave = leave
        """Takes back a connection that this class no longer holds, to close it."""
        self._streams: dict[TConn, _Stream] = {}
        self._heartbeat_at = 0.0
        self._due: deque[_Stream] = deque()
        """The readers that are still to be sent what is new."""

    def add(self, conn: TConn) -> None:
        """Hold a connection whose answer is to be followed by events."""
        feed, number = conn.sock.following
        conn.sock.go_on()
        stream = self._streams[conn] = _Stream(conn, feed, number)
        feed.followers = len(self._streams)
        feed.wake = lambda: self._wake(self.push)
        self._poller.register(conn.sock, selectors.EVENT_READ, lambda _: self._on_event(stream))
        self._send(stream)

    def push(self) -> None:
        """Send all readers what is new, some in each turn of the loop."""
        under_way = bool(self._due)
        # Those that still wait come first, or a slow loop would never reach the last ones.
        self._due = deque(dict.fromkeys([*self._due, *self._streams.values()]))
        if not under_way:
            self._push_some()

    def _push_some(self) -> None:
        for _ in range(min(AT_ONCE, len(self._due))):
            stream = self._due.popleft()
            if stream.conn in self._streams:
                self._send(stream)
        if self._due:
            self._wake(self._push_some)

    def sweep(self) -> None:
        """Send heartbeats, and leave the readers that have not taken anything for too long."""
        now = time.monotonic()
        beat = now >= self._heartbeat_at
        if beat:
            self._heartbeat_at = now + HEARTBEAT_SECONDS
        for stream in list(self._streams.values()):
            if stream.behind_since is None:
                if beat:
                    stream.conn.sock.send_part(HEARTBEAT)
                    self._send(stream)
            elif now - stream.behind_since > BEHIND_SECONDS:
                self._end(stream)

    def close(self) -> None:
        """End all streams, because the worker stops."""
        for stream in list(self._streams.values()):
            stream.feed.wake = None
            if stream.behind_since is None:
                stream.conn.sock.end_parts()
            self._end(stream)

    def _on_event(self, stream: _Stream) -> None:
        try:
            while data := stream.conn.sock.recv(READ_BYTES):
                del data  # a reader has nothing more to say
            self._end(stream)
        except BlockingIOError:
            self._send(stream)
        except OSError:
            self._end(stream)

    def _send(self, stream: _Stream) -> None:
        sock = stream.conn.sock
        try:
            # A reader that is behind gets the next events when it has taken the last ones: the ring keeps them.
            while sock.flush():
                stream.behind_since = None
                data, stream.number = stream.feed.after(stream.number)
                if not data:
                    self._wait(stream, writing=False)
                    return
                sock.send_part(data)
        except OSError:
            self._end(stream)
            return
        stream.behind_since = stream.behind_since or time.monotonic()
        self._wait(stream, writing=True)

    def _wait(self, stream: _Stream, *, writing: bool) -> None:
        if writing != stream.writing:
            stream.writing = writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            self._poller.modify(stream.conn.sock, events, lambda _: self._on_event(stream))

    def _end(self, stream: _Stream) -> None:
        del self._streams[stream.conn]
        stream.feed.followers = len(self._streams)
        self._poller.unregister(stream.conn.sock)
        self._leave(stream.conn)
