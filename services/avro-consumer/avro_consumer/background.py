"""Calls of the Kafka client that may block without end, bounded by waiting for them from outside."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def in_background(call: Callable[[], T]) -> Future[T]:
    """Run a call in a thread of its own; `result(seconds)` of what comes back waits for it.

    The thread is a daemon: a call that never returns does not keep the process alive (an executor's would).
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="kafka-call", daemon=True).start()
    return future
