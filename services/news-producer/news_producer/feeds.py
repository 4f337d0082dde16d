"""RSS and Atom feeds as sources. Each feed has its own thread, so a slow server does not delay the others."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import feedparser
import httpx

from news_producer.errors import FeedUnavailable
from news_producer.inputs import article_id
from news_producer.items import Item
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom.waiting import StopFlag

log = get_logger(__name__)

FETCH_SECONDS = 10.0
"""How long a feed's server may stay silent; then the poll fails, and the thread tries again at the next one."""

MAX_FEED_BYTES = 32 << 20
"""A feed has a few hundred kilobytes, so a far larger answer is not a feed."""

WAITING_ITEMS = 1000
"""Entries that a thread may read ahead of the producer: as many as a few feeds have."""

REMEMBERED_IDS = 20_000
"""Ids to remember per feed. A feed shows some hundred entries at a time, so older entries do not come back."""


class FeedReader:
    """Fetches one feed and returns the entries that it has not returned before."""

    def __init__(self, url: str, client: httpx.Client) -> None:
        self._url = url
        self._client = client
        self._known_ids: dict[str | None, None] = {}
        self._validators: dict[str, str] = {}

    def new_items(self) -> list[Item]:
        """Return the entries that are new since the last call, oldest first.

        Raises:
            FeedUnavailable: the server does not answer, or its answer is not a feed.
        """
        try:
            answer = self._fetch()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FeedUnavailable(f"feed {self._url} cannot be read: {str(error) or type(error).__name__}") from error
        if answer is None:
            return []
        body, validators = answer
        feed = feedparser.parse(body)
        if not feed.version and not feed.entries:
            raise FeedUnavailable(f"feed {self._url} is neither RSS nor Atom")
        media = str(feed.feed.get("title") or urlsplit(self._url).hostname)
        items: dict[str | None, Item] = {}
        # A feed shows its newest entry first.
        for entry in reversed(feed.entries):
            item = _item(entry, media, self._url)
            if item.fields["title"] and item.key not in self._known_ids:
                items.setdefault(item.key, item)
        # Only after every entry is parsed: if one fails above, the next poll must return all of them.
        self._known_ids |= dict.fromkeys(items)
        self._validators = validators
        while len(self._known_ids) > max(REMEMBERED_IDS, 2 * len(feed.entries)):
            del self._known_ids[next(iter(self._known_ids))]
        return list(items.values())

    def _fetch(self) -> tuple[bytes, dict[str, str]] | None:
        """Return the feed and the validators for the next request; None if the feed has not changed."""
        with self._client.stream("GET", self._url, headers=self._validators) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            response.raise_for_status()
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_FEED_BYTES:
                    raise FeedUnavailable(f"{self._url} is not a feed: it exceeds {MAX_FEED_BYTES >> 20} MiB")
            names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
            return bytes(body), {key: response.headers[tag] for tag, key in names.items() if tag in response.headers}


def _item(entry: Any, media: str, url: str) -> Item:  # noqa: ANN401 - feedparser's own dictionary
    title = str(entry.get("title") or "").strip()
    source = entry.get("source") or {}
    media = str(source.get("title") or media)
    identity = str(entry.get("id") or entry.get("link") or article_id(media, title))
    return Item(identity, {"title": title, "media": media}, url)


class FeedSource:
    """Polls a feed every `interval` seconds, or once. Each iterator over it starts a thread that polls."""

    def __init__(self, url: str, *, interval: float, once: bool, stop: StopFlag) -> None:
        self._url = url
        self._interval = interval
        self._once = once
        self._stop = stop
        self._queue: queue.Queue[Item] = queue.Queue(WAITING_ITEMS)
        self._end = threading.Event()
        self._reader: FeedReader | None = None
        self.problem: str | None = None
        """Why the last poll failed; None if it did not fail."""

    def __iter__(self) -> Iterator[Item | None]:
        """Yield new entries as they come, and None while there are none. With `once`, end after one poll."""
        # A daemon thread, because a server that never ends its answer must not keep the process alive.
        threading.Thread(target=self._run, name=f"feed {self._url}", daemon=True).start()
        while True:
            at_end = self._end.is_set()  # read before the queue, which then holds all entries that are left
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                if at_end:
                    return
                yield None
            else:
                yield item

    def _run(self) -> None:
        try:
            with ExitStack() as resources:
                while not self._stop:
                    self._poll(resources)
                    if self._once or self._stop.wait(self._interval):
                        return
        finally:
            self._end.set()

    def _poll(self, resources: ExitStack) -> None:
        try:
            if self._reader is None:
                client = resources.enter_context(httpx.Client(timeout=FETCH_SECONDS, follow_redirects=True))
                self._reader = FeedReader(self._url, client)
            items = self._reader.new_items()
        except FeedUnavailable as error:
            self.problem = str(error)
        except Exception as error:  # noqa: BLE001 - a dead thread would look like a feed without news
            self.problem = f"feed {self._url} cannot be read: {type(error).__name__}: {error}"
        else:
            self.problem = None
            log.info("feed read", feed=self._url, new=len(items))
            for item in items:
                self._put(item)
            return
        log.warning(self.problem if self._once else f"{self.problem}; the next try is in {self._interval:g} s")

    def _put(self, item: Item) -> None:
        while not self._stop:
            try:
                return self._queue.put(item, timeout=0.2)  # short, so that the loop checks the stop flag
            except queue.Full:
                continue
        return None
