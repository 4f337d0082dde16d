"""Bodies made from the newest snapshot: each is made once, however many requests ask for it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Renderings:
    """The bodies of one snapshot at a time. Any thread may call `get`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshot_id = ""
        self._bodies: dict[Hashable, Future[bytes]] = {}

    def get(self, snapshot_id: str, key: Hashable, render: Callable[[], bytes]) -> bytes:
        """Return the body with this key, which `render` makes if this snapshot does not have it yet.

        A second request for a body that is being made waits for it, and no other request does. What `render` raises is
        raised for each of them and not kept.
        """
        with self._lock:
            if snapshot_id != self._snapshot_id:
                self._snapshot_id, self._bodies = snapshot_id, {}
            bodies = self._bodies
            body = bodies.get(key)
            mine = body is None
            if body is None:
                body = bodies[key] = Future()
        if mine:
            try:
                body.set_result(render())
            except BaseException as error:
                del bodies[key]
                body.set_exception(error)
                raise
        return body.result()
