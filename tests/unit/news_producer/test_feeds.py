"""Feeds from a server, and whatever else answers there: which entries are new, and what becomes of the others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import feedparser
import httpx
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from news_producer.errors import FeedUnavailable
from news_producer.feeds import FeedReader
from news_producer.items import INCOMPLETE, MALFORMED, REPEATED, SEEN, UNTITLED, Item, Skip
from newsroom.retry_after import retry_seconds
from unit.news_producer.account import account_of

Answer = Callable[[httpx.Request], httpx.Response]


def rss(*items: str, title: str = "Wire") -> str:
    return f'<rss version="2.0"><channel><title>{title}</title>{"".join(items)}</channel></rss>'


def item(title: str | None, **elements: str) -> str:
    named = {"title": title} if title is not None else {}
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in (named | elements).items())
    return f"<item>{inner}</item>"


@contextmanager
def reader_of(
    *answers: str | bytes | httpx.Response | Exception, url: str = "http://host/feed"
) -> Iterator[FeedReader]:
    """A reader whose server gives one answer after the other."""
    waiting = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        given = waiting.pop(0)
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, httpx.Response) else httpx.Response(200, content=given)

    with httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
        yield FeedReader(url, client)


def poll(reader: FeedReader) -> tuple[list[str], dict[str, int]]:
    """The titles that are new, and how many entries became no record."""
    entries = reader.new_entries()
    skips = [entry for entry in entries if isinstance(entry, Skip)]
    titles = [entry.fields["title"] for entry in entries if isinstance(entry, Item)]
    return titles, {skip.reason: skip.entries for skip in skips}


def test_a_feed_gives_each_entry_once_and_oldest_first() -> None:
    first = rss(item("New", guid="2"), item("Old", guid="1"))
    with reader_of(first, rss(item("Newest", guid="3"), item("New", guid="2"), item("Old", guid="1"))) as reader:
        assert reader.new_entries() == [
            Item("1", {"title": "Old", "media": "Wire"}, "feed http://host/feed"),
            Item("2", {"title": "New", "media": "Wire"}, "feed http://host/feed"),
        ]
        assert poll(reader) == (["Newest"], {SEEN: 2})


@pytest.mark.parametrize("shared", [{"guid": "N/A"}, {"link": "http://host"}, {}])
def test_an_id_that_several_articles_share_is_no_id(shared: dict[str, str]) -> None:
    red, green, blue = (item(f"{colour} shirt", **shared) for colour in ("Red", "Green", "Blue"))
    with reader_of(rss(red, green), rss(blue, red, green), rss(blue)) as reader:
        assert poll(reader) == (["Green shirt", "Red shirt"], {})
        assert poll(reader) == (["Blue shirt"], {SEEN: 2})
        assert poll(reader) == ([], {SEEN: 1})


def test_an_id_that_turns_out_to_be_shared_sends_no_article_again() -> None:
    with reader_of(rss(item("One", guid="x")), rss(item("Two", guid="x"), item("One", guid="x"))) as reader:
        assert poll(reader) == (["One"], {})
        assert poll(reader) == (["Two"], {SEEN: 1})


def test_an_article_that_is_corrected_is_not_new_and_one_that_stands_twice_is_sent_once() -> None:
    twice = rss(item("Right", guid="1"), item("Right", guid="1"))
    with reader_of(rss(item("Wrogn", guid="1")), twice) as reader:
        assert poll(reader) == (["Wrogn"], {})
        assert poll(reader) == ([], {SEEN: 1, REPEATED: 1})


def test_an_item_without_a_title_takes_its_descriptions_text() -> None:
    feed = rss(
        item(None, guid="1", description="&lt;p&gt;First &amp;amp; last&lt;/p&gt;"),
        item("", guid="2", description="<![CDATA[<b>Second</b> post]]>"),
        item(" ", guid="3"),
        item(None, guid="4"),
    )
    with reader_of(feed, feed) as reader:
        entries = reader.new_entries()
        assert [entry.fields["title"] for entry in entries if isinstance(entry, Item)] == [
            "Second post",
            "First & last",
        ]
        assert [(entry.reason, entry.problem) for entry in entries if isinstance(entry, Skip)] == [
            (UNTITLED, f"feed http://host/feed: entry {number} has neither a title nor a description")
            for number in (4, 3)
        ]
        assert poll(reader) == ([], {SEEN: 4})


def test_titles_and_media_names_lose_their_html() -> None:
    atom = """<feed xmlns="http://www.w3.org/2005/Atom">
        <title type="html">The &lt;b&gt;Post&lt;/b&gt; &amp;amp; Co</title>
        <entry><id>1</id><title type="html">A &lt;em&gt;new&lt;/em&gt; bridge &amp;amp; a river</title></entry>
        <entry><id>2</id>
            <title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><i>Tower</i> opens</div></title></entry>
        <entry><id>3</id><title>Use &lt;head&gt;
            elements</title><source><title>A &lt;i&gt;guest&lt;/i&gt;</title></source></entry></feed>"""
    with reader_of(atom) as reader:
        assert [(entry.key, *entry.fields.values()) for entry in reader.new_entries() if isinstance(entry, Item)] == [
            ("3", "Use <head> elements", "A guest"),
            ("2", "Tower opens", "The Post & Co"),
            ("1", "A new bridge & a river", "The Post & Co"),
        ]
    plain = rss(item("AT&amp;amp;T &lt;br&gt; x"), item("5 &lt; 6"), item("<![CDATA[a <i>b</i> &eacute;]]>"), title=" ")
    with reader_of(plain) as reader:
        assert [tuple(entry.fields.values()) for entry in reader.new_entries() if isinstance(entry, Item)] == [
            ("a b é", "host"),
            ("5 < 6", "host"),
            ("AT&T x", "host"),
        ]


@pytest.mark.parametrize("bad", ["&#0;", "&#99999999999;", "&#xD800;", "\x01", "&bogus;", "&nbsp;", "& ", "<b"])
def test_one_bad_character_does_not_cost_the_feed(bad: str) -> None:
    with reader_of(rss(item(f"a {bad} b", guid="1"), item("good", guid="2"))) as reader:
        titles, skipped = poll(reader)
    assert (titles[0], len(titles), skipped) == ("good", 2, {})
    assert titles[1].startswith("a")


def test_an_entry_that_cannot_be_read_costs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = feedparser.parse

    def stumble(body: bytes, **options: Any) -> Any:  # noqa: ANN401 - feedparser's own dictionary
        feed = parse(body, **options)
        feed.entries[0] = None
        return feed

    monkeypatch.setattr("news_producer.feeds.feedparser.parse", stumble)
    with reader_of(rss(item("odd", guid="1"), item("good", guid="2"))) as reader:
        assert poll(reader) == (["good"], {MALFORMED: 1})


VALIDATED = {"ETag": '"x"', "Last-Modified": "yesterday"}


def test_validators_are_sent_and_those_of_a_part_of_a_document_are_not_kept() -> None:
    whole = rss(item("three", guid="3"), item("two", guid="2"), item("one", guid="1"))
    requests: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request.headers)
        if "If-None-Match" in request.headers:
            return httpx.Response(304)
        body = whole if len(requests) > 1 else whole[: whole.index("wo</title>")]
        return httpx.Response(200, content=body, headers=VALIDATED)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        reader = FeedReader("http://host/feed", client)
        assert poll(reader) == (["three"], {INCOMPLETE: 1})
        assert poll(reader) == (["one", "two"], {SEEN: 1})
        assert poll(reader) == ([], {})
    assert [headers.get("If-None-Match") for headers in requests] == [None, None, '"x"']
    assert requests[2]["If-Modified-Since"] == "yesterday"


def test_what_a_failed_poll_has_seen_comes_at_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = rss(item("two", guid="2"), item("one", guid="1"))
    with reader_of(httpx.Response(200, content=feed, headers=VALIDATED), feed) as reader:
        monkeypatch.setattr("news_producer.feeds._shared_ids", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reader.new_entries()
        monkeypatch.undo()
        assert poll(reader) == (["one", "two"], {})


HTML = "<html><head><title>Blog</title><link rel=alternate type='application/rss+xml' href='/feed.xml'></head></html>"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(404), "the server answers 404 Not Found"),
        (httpx.Response(302), "the server answers 302 Found"),
        (httpx.Response(200, content=b" \n"), r"the answer is empty \(200 OK\)"),
        (httpx.Response(204), r"the answer is empty \(204 No Content\)"),
        (httpx.Response(200, text='{"version": "https://jsonfeed.org"}'), "it is neither RSS nor Atom, but JSON"),
        (httpx.Response(200, text=HTML), "neither RSS nor Atom, but a page that names the feed /feed.xml"),
        (httpx.Response(200, text="<!doctype html><html>x</html>"), "neither RSS nor Atom, but an HTML page"),
        (httpx.Response(200, text="no feed"), "it is neither RSS nor Atom$"),
        (httpx.Response(200, content=b"\x1f\x8b\x08"), "the answer is a gzip file"),
        (
            httpx.Response(200, stream=httpx.ByteStream(b"\x0b"), headers={"Content-Encoding": "br"}),
            "coded as br, which",
        ),
        (httpx.Response(200, text='<!DOCTYPE a [<!ENTITY lol "lollollol">]><rss/>'), "it declares the entity 'lol'"),
    ],
)
def test_what_is_no_feed_is_a_sentence(answer: httpx.Response, reason: str) -> None:
    with (
        reader_of(answer) as reader,
        pytest.raises(FeedUnavailable, match=f"^feed http://host/feed cannot be read: .*{reason}"),
    ):
        reader.new_entries()


ODD_REDIRECT = httpx.ConnectError("no host for 'ftp://u:pw@h/?key=pw'")


@pytest.mark.parametrize("answer", [httpx.Response(503), ODD_REDIRECT])
def test_secrets_of_an_address_are_in_no_error_and_in_no_item(answer: httpx.Response) -> None:
    url = "http://user:pw'pw@host/feed?token=pw&tags=a,b"
    with reader_of(answer, rss(item("A")), url=url) as reader:
        with pytest.raises(FeedUnavailable, match=r"http://\*\*\*@host/feed\?token=\*\*\*&tags=a,b") as raised:
            reader.new_entries()
        (entry,) = reader.new_entries()
    assert "pw" not in str(raised.value)
    assert isinstance(entry, Item)
    assert entry.origin == "feed http://***@host/feed?token=***&tags=a,b"


def test_a_relative_link_is_one_of_its_own_feed_and_shows_no_secret() -> None:
    links = ("a-1/", "/b", "?p=1", "#c", "http://[x", "")
    feed = rss(*(item(link or "none", link=link) for link in reversed(links)))
    with reader_of(feed, url="http://me:pw@host/news/feed?token=abc") as reader:
        entries = reader.new_entries()
    keys = [entry.key for entry in entries if isinstance(entry, Item)]
    root = "http://host"
    assert keys[:5] == [f"{root}/news/a-1/", f"{root}/b", f"{root}/news/feed?p=1", f"{root}/news/feed#c", "http://[x"]


def test_an_answer_is_not_the_name_of_a_file_here(tmp_path: Path) -> None:
    file = tmp_path / "secret.xml"
    file.write_text(rss(item("A")))
    with reader_of(str(file)) as reader, pytest.raises(FeedUnavailable, match="neither RSS nor Atom"):
        reader.new_entries()


@pytest.mark.parametrize("coding", ["utf-8", "none", "identity"])
def test_a_charset_in_the_header_of_codings_means_nothing(coding: str) -> None:
    with reader_of(httpx.Response(200, text=rss(item("A")), headers={"Content-Encoding": coding})) as reader:
        assert poll(reader) == (["A"], {})


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("news_producer.feeds.ANSWER_SECONDS", 0.0)
    with reader_of(rss(item("A"))) as reader, pytest.raises(FeedUnavailable, match="not complete after 0 s"):
        reader.new_entries()


def test_the_servers_wish_to_be_left_alone_is_kept() -> None:
    late = format_datetime(datetime.now(UTC) + timedelta(seconds=500), usegmt=True)
    assert retry_seconds(late) == pytest.approx(500, abs=5)
    texts = ("120", " 7 ", "9999999", "-5", "soon", "", None, "Thu, 01 Jan 1970 00:00:00 GMT", "²")
    assert [retry_seconds(text) for text in texts] == [120, 7, 86_400, 0, 0, 0, 0, 0, 0]
    with (
        reader_of(httpx.Response(429, headers={"Retry-After": "120"})) as reader,
        pytest.raises(FeedUnavailable) as raised,
    ):
        reader.new_entries()
    assert raised.value.retry_after == 120


def test_a_feed_that_was_removed_for_good_is_asked_once_a_day() -> None:
    with (
        reader_of(httpx.Response(410)) as reader,
        pytest.raises(FeedUnavailable, match="410 Gone: its owner") as raised,
    ):
        reader.new_entries()
    assert raised.value.retry_after == 86_400


PIECES = [
    "<item>",
    "</item>",
    "<title>",
    "</title>",
    "<guid>",
    "</guid>",
    "<link>",
    "&lt;b&gt;",
    "&#0;",
    "&amp;",
    "a",
    "1",
]
PIECES += [
    "<description>",
    "</description>",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<entry>",
    "</rss>",
    "\x00",
    "é",
    "<",
    '"',
]
BODIES = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@settings(max_examples=150)
@given(st.binary(max_size=100) | BODIES.map(lambda text: rss(text).encode()) | BODIES.map(str.encode))
@example(rss(item("L" * 100_000, guid="1"), item("good", guid="2")).encode())
@example(b"<rss>" + b"<item>" * 2000)
def test_any_answer_is_entries_or_a_sentence(body: bytes) -> None:
    with reader_of(body, body) as reader:
        try:
            polls = [reader.new_entries(), reader.new_entries()]
        except FeedUnavailable as error:
            polls = []
            event(str(error))
        for entries in polls:
            records, ledger = account_of(entries, "avro", skip=False)
            others = sum(ledger.skipped[reason] for reason in (INCOMPLETE, MALFORMED, UNTITLED))
            assert ledger.new == len(records) + others
        assert not polls or records == []
