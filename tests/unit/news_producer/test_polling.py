"""The thread that polls a feed: it outlives whatever it meets, and leaves a server alone that asks for it."""

from collections.abc import Iterator

import httpx
import pytest
from structlog.testing import capture_logs

from news_producer.errors import FeedUnavailable
from news_producer.feeds import FeedReader
from news_producer.items import Item, Skip
from news_producer.polling import FeedSource
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


def keys_of(entries: Iterator[Item | Skip | None]) -> list[str | None]:
    return [entry.key for entry in entries if isinstance(entry, Item)]


def one_poll(url: str) -> tuple[list[str | None], str | None]:
    """The keys of a feed's items and its problem, after one poll."""
    feed = FeedSource(url, interval=60, once=True, stop=StopFlag())
    return keys_of(iter(feed)), feed.problem


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
    new_entries = FeedReader.new_entries

    def client(**options: object) -> httpx.Client:
        if len(failures) == 2:
            raise failures.pop(0)
        return real(**options)  # type: ignore[arg-type]

    def look(reader: FeedReader) -> list[Item | Skip]:
        if failures:
            raise failures.pop(0)
        return new_entries(reader)

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", client)
    monkeypatch.setattr(FeedReader, "new_entries", look)
    stop = StopFlag()
    feed = FeedSource(f"{web.url}/feed", interval=0.05, once=False, stop=stop)
    entries = iter(feed)

    def key() -> str | None:
        entry = next(entries)
        return entry.key if isinstance(entry, Item) else None

    assert [wait_for("an item", key, 10) for _ in range(2)] == ["1", "2"]
    stop.set()
    assert keys_of(entries) == []
    assert feed.problem is None


def test_a_server_that_asks_for_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    stop = StopFlag()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) == 2:
            stop.set()
        return bool(stop)

    failures = [FeedUnavailable("busy", retry_after=120), FeedUnavailable("gone")]

    def look(_: FeedReader) -> list[Item | Skip]:
        raise failures.pop(0)

    monkeypatch.setattr(stop, "wait", wait)
    monkeypatch.setattr(FeedReader, "new_entries", look)
    with capture_logs() as lines:
        assert keys_of(iter(FeedSource("http://u:pw@h/", interval=60, once=False, stop=stop))) == []
    assert waits == [120, 60]
    assert [line["event"] for line in lines] == ["busy; the next try is in 120 s", "gone; the next try is in 60 s"]


def test_an_error_that_nobody_foresaw_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_: FeedReader) -> list[Item | Skip]:
        raise ValueError("http://u:pw@h/?token=pw is odd")

    monkeypatch.setattr(FeedReader, "new_entries", look)
    with capture_logs() as lines:
        problem = one_poll("HTTP://u:pw@h/?token=pw")[1]
    assert problem == "feed HTTP://***@h/?token=*** cannot be read: ValueError: http://***@h/?token=*** is odd"
    assert "pw" not in str(lines)
