"""RSS and Atom feeds: fetches a document, and says which of its entries are new."""

from __future__ import annotations

import io
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import feedparser
import httpx

from news_producer.documents import read_document
from news_producer.errors import FeedUnavailable
from news_producer.hypertext import text_of, text_of_html
from news_producer.inputs import article_id
from news_producer.items import INCOMPLETE, MALFORMED, REPEATED, SEEN, UNTITLED, Item, Skip
from newsroom.addresses import masked
from newsroom.proxies import without_login
from newsroom.retry_after import LONGEST_RETRY_SECONDS, retry_seconds
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from news_producer.documents import Document

ANSWER_SECONDS = 60.0
"""How long a whole answer may take. A server that sends a byte a second would keep a feed waiting for ever."""

MAX_FEED_BYTES = 32 << 20
"""A feed has a few hundred kilobytes, so a far larger answer is not a feed."""

REMEMBERED_IDS = 20_000
"""Ids to remember per feed. A feed shows some hundred entries at a time, so older entries do not come back."""

UNKNOWN_CODINGS = frozenset({"br", "zstd", "compress"})
"""Codings that the client does not undo. Other words in that header mean nothing: servers write charsets there."""

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""

VALIDATORS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
"""Headers of an answer, and the header of the next request that each is sent with."""


class _Article(NamedTuple):
    """What an entry of a feed says."""

    identity: str
    """Its own id or address; empty if it has none."""
    title: str
    media: str

    @property
    def digest(self) -> str:
        return article_id(self.media, self.title)


class FeedReader:
    """Fetches one feed and returns the entries that it has not returned before."""

    def __init__(self, url: str, client: httpx.Client) -> None:
        self._url = url
        self.name = f"feed {masked(url)}"
        self._client = client
        self._known: dict[str, str] = {}
        """The keys of the articles that were returned, and the digest of each one."""
        self._shared: dict[str, None] = {}
        """Ids that several articles of one document have: they tell nothing apart."""
        self._validators: dict[str, str] = {}

    def new_entries(self) -> list[Item | Skip]:
        """Return the articles that are new since the last call, oldest first, and what else the feed shows.

        Raises:
            FeedUnavailable: the server does not answer, or its answer is not a feed.
        """
        try:
            answer = self._fetch()
            if answer is None:
                return []
            body, charset, validators = answer
            document = read_document(body, charset)
            feed = _parse(document)
        except FeedUnavailable as error:
            raise FeedUnavailable(f"{self.name} cannot be read: {error}", error.retry_after) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # An error may name the address, or the one that it was redirected to.
            reason = masked(str(error).replace(self._url, masked(self._url))) or type(error).__name__
            raise FeedUnavailable(f"{self.name} cannot be read: {reason}") from error
        known, shared = dict(self._known), dict(self._shared)
        entries = list(self._entries(feed, document, known, shared))
        # Only after every entry is parsed: if one fails above, the next poll must return all of them.
        size = max(REMEMBERED_IDS, 2 * len(feed.entries))
        self._known, self._shared = _last(known, size), _last(shared, size)
        self._validators = validators if document.is_whole else {}
        return entries

    def _fetch(self) -> tuple[bytes, str | None, dict[str, str]] | None:
        """Return the body, its charset and the validators for the next request; None if the feed has not changed."""
        limit = Deadline(ANSWER_SECONDS)
        with self._client.stream("GET", self._url, headers=self._validators) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            status = f"{response.status_code} {response.reason_phrase}".strip()
            if response.status_code == httpx.codes.GONE:
                raise FeedUnavailable(
                    f"the server answers {status}: its owner removed the feed for good", LONGEST_RETRY_SECONDS
                )
            if not response.is_success:
                raise FeedUnavailable(
                    f"the server answers {status}", retry_seconds(response.headers.get("Retry-After"))
                )
            if (coding := response.headers.get("Content-Encoding", "").lower()) in UNKNOWN_CODINGS:
                raise FeedUnavailable(f"the answer is coded as {coding}, which was not asked for")
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_FEED_BYTES:
                    raise FeedUnavailable(f"it is not a feed: it exceeds {MAX_FEED_BYTES >> 20} MiB")
                if limit.passed():
                    raise FeedUnavailable(f"the answer is not complete after {limit.seconds:g} s")
            if not body.strip():
                raise FeedUnavailable(f"the answer is empty ({status})")
            if body.startswith(GZIP):
                raise FeedUnavailable("the answer is a gzip file")
            headers = response.headers
            validators = {name: headers[tag] for tag, name in VALIDATORS.items() if tag in headers}
            return bytes(body), response.charset_encoding, validators

    def _entries(
        self,
        feed: Any,  # noqa: ANN401 - feedparser's own dictionary
        document: Document,
        known: dict[str, str],
        shared: dict[str, None],
    ) -> Iterator[Item | Skip]:
        entries = list(feed.entries)
        if document.cuts_entry and entries:
            yield Skip(INCOMPLETE, f"{self.name}: the document ends within its last entry")
            del entries[-1]
        articles: list[_Article] = []
        # A feed shows its newest entry first.
        for entry in reversed(entries):
            try:
                articles.append(_article(entry, feed, self._url))
            except Exception as error:  # noqa: BLE001 - whatever is odd about an entry costs this entry
                yield Skip(MALFORMED, f"{self.name}: an entry cannot be read: {type(error).__name__}: {error}")
        shared |= dict.fromkeys(_shared_ids(articles))
        repeated = shown_before = 0
        now: set[str] = set()
        for article in articles:
            identity = article.identity
            key = article.digest if not identity or identity in shared else identity
            if key in now:
                repeated += 1
            elif key in known or known.get(identity) == article.digest:
                shown_before += 1
            elif article.title:
                yield Item(key, {"title": article.title, "media": article.media}, self.name)
            else:
                yield Skip(UNTITLED, f"{self.name}: entry {identity or '?'} has neither a title nor a description")
            now.add(key)
            known.setdefault(key, article.digest)
        yield from (
            Skip(reason, entries=count) for reason, count in ((REPEATED, repeated), (SEEN, shown_before)) if count
        )


def _parse(document: Document) -> Any:  # noqa: ANN401 - feedparser's own dictionary
    # A stream, because feedparser takes bytes for the name of a file first.
    feed = feedparser.parse(
        io.BytesIO(document.text.encode()),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    if not feed.get("version") and not feed.get("entries"):
        raise FeedUnavailable(f"it is neither RSS nor Atom{_hint(document.text, feed)}")
    return feed


def _hint(text: str, feed: Any) -> str:  # noqa: ANN401 - feedparser's own dictionary
    links = [link.get("href") for link in feed.get("feed", {}).get("links", ()) if "xml" in str(link.get("type"))]
    if links:
        return f", but a page that names the feed {masked(links[0])}"
    if text.lstrip().startswith(("{", "[")):
        return ", but JSON"
    return ", but an HTML page" if "<html" in text[:1000].lower() else ""


def _article(entry: Any, feed: Any, url: str) -> _Article:  # noqa: ANN401 - feedparser's own dictionaries
    guess = not str(feed.get("version")).startswith("atom")
    title = _text(entry, "title", guess=guess) or text_of_html(str(entry.get("summary") or ""))
    source = entry.get("source") or {}
    media = (
        _text(source, "title", guess=True)
        or _text(feed.get("feed", {}), "title", guess=guess)
        or str(urlsplit(url).hostname)
    )
    return _Article(str(entry.get("id") or _whole_link(str(entry.get("link") or ""), url)), title, media)


def _whole_link(link: str, url: str) -> str:
    """The link of an entry in the feed at `url`: the same relative link in two feeds is not the same article."""
    base = urlsplit(without_login(url))._replace(query="", fragment="")  # which may hold a token
    try:
        return urljoin(base.geturl(), link) if link else ""
    except ValueError:
        return link


def _text(element: Any, name: str, *, guess: bool) -> str:  # noqa: ANN401 - feedparser's own dictionary
    detail = element.get(f"{name}_detail") or {}
    return text_of(str(element.get(name) or ""), detail.get("type"), guess=guess)


def _shared_ids(articles: Sequence[_Article]) -> Iterable[str]:
    """The ids that articles of different titles have."""
    titles: dict[str, set[str]] = defaultdict(set)
    for article in articles:
        if article.identity and article.title:
            titles[article.identity].add(article.title)
    return (identity for identity, different in titles.items() if len(different) > 1)


def _last(entries: dict[str, Any], size: int) -> dict[str, Any]:
    return dict(list(entries.items())[-size:])
