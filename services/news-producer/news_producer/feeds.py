"""RSS and Atom feeds as sources. Each is read by a thread of its own: a slow server holds up nobody else."""

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
from news_producer.records import Item
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsroom.waiting import StopFlag

log = get_logger(__name__)

FETCH_SECONDS = 10.0
"""Longest silence of a feed's server; what takes longer is tried again at the next turn."""

MAX_FEED_BYTES = 32 << 20
"""Feeds are a few hundred kilobytes: what is far larger is something else."""

WAITING_ITEMS = 1000
"""Entries read ahead of the producer, a few feeds' worth."""

REMEMBERED_IDS = 20_000
"""Ids of entries that were sent; a feed shows some hundred at a time, so older ones do not come back."""


class FeedReader:
    """Fetches one feed and gives the entries that it has not given before."""

    def __init__(self, url: str, client: httpx.Client) -> None:
        self._url = url
        self._client = client
        self._seen: dict[str | None, None] = {}
        self._validators: dict[str, str] = {}

    def new_items(self) -> list[Item]:
        """Entries that are new since the last call, oldest first.

        Raises:
            FeedUnavailable: the server does not answer with a feed.
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
            raise FeedUnavailable(f"{self._url} is neither RSS nor Atom")
        media = str(feed.feed.get("title") or urlsplit(self._url).hostname)
        items: dict[str | None, Item] = {}
        # Feeds show the newest entry first.
        for entry in reversed(feed.entries):
            item = _item(entry, media, self._url)
            if item.fields["title"] and item.key not in self._seen:
                items.setdefault(item.key, item)
        # Only now: what fails above is wholly read again at the next look.
        self._seen |= dict.fromkeys(items)
        self._validators = validators
        while len(self._seen) > max(REMEMBERED_IDS, 2 * len(feed.entries)):
            del self._seen[next(iter(self._seen))]
        return list(items.values())

    def _fetch(self) -> tuple[bytes, dict[str, str]] | None:
        """The feed, and the headers with which the next question says what is known; None when it is still that."""
        with self._client.stream("GET", self._url, headers=self._validators) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            response.raise_for_status()
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_FEED_BYTES:
                    raise FeedUnavailable(f"{self._url} is larger than {MAX_FEED_BYTES >> 20} MiB: no feed")
            names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
            return bytes(body), {ask: response.headers[got] for got, ask in names.items() if got in response.headers}


def _item(entry: Any, media: str, url: str) -> Item:  # noqa: ANN401 - feedparser's own dictionary
    title = str(entry.get("title") or "").strip()
    source = entry.get("source") or {}
    media = str(source.get("title") or media)
    identity = str(entry.get("id") or entry.get("link") or article_id(media, title))
    return Item(identity, {"title": title, "media": media}, url)


class FeedSource:
    """Looks at a feed every `interval` seconds, or once; iterate over `items`."""

    def __init__(self, url: str, *, interval: float, once: bool, stop: StopFlag) -> None:
        self._url = url
        self._interval = interval
        self._once = once
        self._stop = stop
        self._queue: queue.Queue[Item] = queue.Queue(WAITING_ITEMS)
        self._ended = threading.Event()
        self._reader: FeedReader | None = None
        self.problem: str | None = None
        """Why the last look failed; None when it did not."""

    def items(self) -> Iterator[Item | None]:
        """New entries as they come; None when there are none yet. Ends after one look with `once`."""
        # A daemon: a server that never ends its answer must not keep the process.
        threading.Thread(target=self._run, name=f"feed {self._url}", daemon=True).start()
        while True:
            ended = self._ended.is_set()  # before the queue is looked at: what came before the end is in it
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                if ended:
                    return
                yield None
            else:
                yield item

    def _run(self) -> None:
        try:
            with ExitStack() as resources:
                while not self._stop:
                    self._look(resources)
                    if self._once or self._stop.wait(self._interval):
                        return
        finally:
            self._ended.set()

    def _look(self, resources: ExitStack) -> None:
        try:
            if self._reader is None:
                client = resources.enter_context(httpx.Client(timeout=FETCH_SECONDS, follow_redirects=True))
                self._reader = FeedReader(self._url, client)
            items = self._reader.new_items()
        except Exception as error:  # noqa: BLE001 - a thread that died would look like a feed without news
            known = isinstance(error, FeedUnavailable)
            self.problem = str(error) if known else f"feed {self._url} cannot be read: {type(error).__name__}: {error}"
            log.warning(self.problem if self._once else f"{self.problem}; trying again in {self._interval:g} s")
            return
        self.problem = None
        log.info("feed read", feed=self._url, new=len(items))
        for item in items:
            self._put(item)

    def _put(self, item: Item) -> None:
        while not self._stop:
            try:
                return self._queue.put(item, timeout=0.2)  # the stop flag is looked at between two tries
            except queue.Full:
                continue
        return None
