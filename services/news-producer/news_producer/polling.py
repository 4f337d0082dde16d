"""Polls feeds. Each has its own thread, so a slow server does not delay the others."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from news_producer.errors import FeedUnavailable
from news_producer.items import Item, Skip
from newsroom.addresses import masked
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from news_producer.feeds import FeedReader
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

FETCH_SECONDS = 10.0
"""How long a feed's server may stay silent; then the poll fails, and the thread tries again at the next one."""

WAITING_ENTRIES = 1000
"""Entries that a thread may read ahead of the producer: as many as a few feeds have."""


class FeedSource:
    """Polls a feed every `interval` seconds, or once. Each iterator over it starts a thread that polls."""

    def __init__(self, url: str, *, interval: float, once: bool, stop: StopFlag) -> None:
        self._url = url
        self._name = f"feed {masked(url)}"
        self._interval = interval
        self._once = once
        self._stop = stop
        self._queue: queue.Queue[Item | Skip] = queue.Queue(WAITING_ENTRIES)
        self._end = threading.Event()
        self._reader: FeedReader | None = None
        self.problem: str | None = None
        """Why the last poll failed; None if it did not fail."""

    def __iter__(self) -> Iterator[Item | Skip | None]:
        """Yield new entries as they come, and None while there are none. With `once`, end after one poll."""
        # A daemon thread, because a server that never ends its answer must not keep the process alive.
        threading.Thread(target=self._run, name=self._name, daemon=True).start()
        while True:
            at_end = self._end.is_set()  # read before the queue, which then holds all entries that are left
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                if at_end:
                    return
                yield None
            else:
                yield entry

    def _run(self) -> None:
        try:
            with ExitStack() as resources:
                while not self._stop:
                    pause = self._poll(resources)
                    if self._once or self._stop.wait(pause):
                        return
        finally:
            self._end.set()

    def _poll(self, resources: ExitStack) -> float:
        """Read the feed once, and return the seconds until the next time."""
        pause = self._interval
        try:
            if self._reader is None:
                # Imported here: they take longer to import than the Kafka client, and most runs read no feed.
                import httpx  # noqa: PLC0415

                from news_producer.feeds import FeedReader  # noqa: PLC0415

                client = resources.enter_context(httpx.Client(timeout=FETCH_SECONDS, follow_redirects=True))
                self._reader = FeedReader(self._url, client)
            entries = self._reader.new_entries()
        except FeedUnavailable as error:
            self.problem = str(error)
            pause = max(pause, error.retry_after)
        except Exception as error:  # noqa: BLE001 - a dead thread would look like a feed without news
            self.problem = masked(f"{self._name} cannot be read: {type(error).__name__}: {error}")
        else:
            self.problem = None
            log.info("feed read", feed=masked(self._url), new=sum(isinstance(entry, Item) for entry in entries))
            for entry in entries:
                self._put(entry)
            return pause
        log.warning(self.problem if self._once else f"{self.problem}; the next try is in {pause:g} s")
        return pause

    def _put(self, entry: Item | Skip) -> None:
        while not self._stop:
            try:
                return self._queue.put(entry, timeout=0.2)  # short, so that the loop checks the stop flag
            except queue.Full:
                continue
        return None
