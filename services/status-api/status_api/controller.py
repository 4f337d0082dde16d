"""Follows who leads the metadata quorum, without a question in each snapshot."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from status_api.answers import Answer, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from newsroom.admin.quorum import Quorum
    from newsroom.waiting import Deadline

QUORUM_SECONDS = 5.0
"""How often the quorum is asked. It is asked at once when the brokers change, and while its leader is not known."""


class Controller:
    """The leader of the quorum as it was last told."""

    def __init__(self, ask: Callable[[], Future[Quorum]], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._future: Future[Quorum] | None = None
        self._last: Answer = None, None
        self._brokers: frozenset[int] = frozenset()
        self._due = -QUORUM_SECONDS

    def start(self, brokers: Iterable[int]) -> None:
        """Ask the quorum, if that is due. The cluster's metadata names any living broker as its controller."""
        alive = frozenset(brokers)
        if self._last[0] is None or alive != self._brokers or self._monotonic() >= self._due:
            self._brokers = alive
            self._due = self._monotonic() + QUORUM_SECONDS
            self._future = self._ask()

    def result(self, deadline: Deadline) -> Answer:
        """Return the quorum, or None and the reason; wait for it if it was asked."""
        if self._future is not None:
            self._last = answer(self._future, deadline)
            self._future = None
        return self._last
