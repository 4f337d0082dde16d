"""Bounds a client's call that may block forever: the caller waits for a thread, with a timeout."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def in_background(call: Callable[[], T]) -> Future[T]:
    """Run a call in its own thread; `result(seconds)` of the returned future waits for it.

    The thread is a daemon, so a call that never returns does not keep the process alive. An executor's thread would.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - the future hands it to the caller
            future.set_exception(error)

    threading.Thread(target=run, name="kafka-call", daemon=True).start()
    return future
