"""Feeds from a server, and whatever else answers there."""

from collections.abc import Iterator
from typing import Any

import feedparser
import httpx
import pytest

from news_producer.feeds import FeedReader, FeedSource
from news_producer.items import Item
from newsroom.waiting import StopFlag
from support.waiting import wait_for
from support.web import Request, Web

FEED = b"""<rss version="2.0"><channel><title>Wire</title>
<item><guid>2</guid><title>New</title></item><item><guid>1</guid><title>Old</title></item></channel></rss>"""


def answer(request: Request) -> None:
    if request.path == "/moved":
        request.reply(302, headers={"Location": "http://xn--/"})
    else:
        request.reply(200 if request.path == "/feed" else 404, FEED)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(answer) as server:
        yield server


def one_poll(url: str) -> tuple[list[str | None], str | None]:
    """The keys of a feed's items and its problem, after one poll."""
    feed = FeedSource(url, interval=60, once=True, stop=StopFlag())
    return [item.key for item in feed if item], feed.problem


def test_a_feed_gives_each_entry_once_and_oldest_first(web: Web) -> None:
    with httpx.Client() as client:
        reader = FeedReader(f"{web.url}/feed", client)
        assert [(item.key, dict(item.fields)) for item in reader.new_items()] == [
            ("1", {"title": "Old", "media": "Wire"}),
            ("2", {"title": "New", "media": "Wire"}),
        ]
        assert reader.new_items() == []


def test_a_feed_ends_after_one_poll(web: Web) -> None:
    assert one_poll(f"{web.url}/feed") == (["1", "2"], None)


@pytest.mark.parametrize(
    ("path", "variable", "reason"),
    [("/gone", "UNUSED", "404"), ("/moved", "UNUSED", "IDNAError"), ("/feed", "ALL_PROXY", "SOCKS")],
)
def test_whatever_a_feed_meets_is_its_problem_and_not_the_end_of_its_thread(
    web: Web, monkeypatch: pytest.MonkeyPatch, path: str, variable: str, reason: str
) -> None:
    monkeypatch.setenv(variable, "socks5://proxy:1")
    keys, problem = one_poll(f"{web.url}{path}")
    assert keys == []
    assert str(problem).startswith(f"feed {web.url}{path} cannot be read: ")
    assert reason in str(problem)


def test_a_feed_is_tried_again_after_whatever_it_met(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Exception] = [ImportError("no SOCKS"), ValueError("odd page")]
    new_items = FeedReader.new_items

    def client(**options: object) -> httpx.Client:
        if len(failures) == 2:
            raise failures.pop(0)
        return real(**options)  # type: ignore[arg-type]

    def look(reader: FeedReader) -> list[Item]:
        if failures:
            raise failures.pop(0)
        return new_items(reader)

    real = httpx.Client
    monkeypatch.setattr("news_producer.feeds.httpx.Client", client)
    monkeypatch.setattr(FeedReader, "new_items", look)
    stop = StopFlag()
    feed = FeedSource(f"{web.url}/feed", interval=0.05, once=False, stop=stop)
    items = iter(feed)
    keys = [wait_for("an item", lambda: next(items), 10).key for _ in range(2)]
    stop.set()
    assert list(filter(None, items)) == []
    assert keys == ["1", "2"]
    assert feed.problem is None


def test_what_a_failed_look_has_seen_comes_at_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the server says that nothing has changed since."""
    asked: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers)
        if "If-None-Match" in request.headers:
            return httpx.Response(304)
        return httpx.Response(200, content=FEED, headers={"ETag": "x"})

    parse = feedparser.parse

    def stumble(body: bytes) -> Any:  # noqa: ANN401 - feedparser's own dictionary
        feed = parse(body)
        feed.entries[0] = None
        return feed

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        reader = FeedReader("http://feed", client)
        monkeypatch.setattr("news_producer.feeds.feedparser.parse", stumble)
        with pytest.raises(AttributeError):
            reader.new_items()
        monkeypatch.undo()
        assert [item.key for item in reader.new_items()] == ["1", "2"]
        assert reader.new_items() == []
    assert ["If-None-Match" in headers for headers in asked] == [False, False, True]
