"""Documents as servers send them: encodings that are said once, twice or wrongly, and characters that XML lacks."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from news_producer.documents import read_document
from news_producer.errors import FeedUnavailable

HARBOUR = "Москва и порт"


def rss(text: str, encoding: str | None = None) -> str:
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>' if encoding else ""
    return f"{declaration}<rss><channel><item><title>{text}</title></item></channel></rss>"


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (rss(HARBOUR).encode(), None),
        (rss(HARBOUR, "windows-1251").encode("cp1251"), None),
        (b"\r\n  " + rss(HARBOUR, "windows-1251").encode("cp1251"), None),
        (rss(HARBOUR).encode("koi8-r"), "KOI8-R"),
        (rss(HARBOUR, "utf-8").encode("cp1251"), "windows-1251"),
        (rss(HARBOUR, "iso-8859-1").encode(), "utf-8"),
        (rss(HARBOUR, "utf-8").encode(), "iso-8859-1"),
        (b"\xef\xbb\xbf" + rss(HARBOUR, "iso-8859-1").encode(), "iso-8859-1"),
        (rss(HARBOUR, "utf-16").encode("utf-16"), None),
        (rss(HARBOUR, "utf-16").encode("utf-16-be"), "utf-8"),
        (rss(HARBOUR, "utf-16").encode(), None),
        (rss(HARBOUR, "x-unknown").encode(), "no such charset"),
    ],
)
def test_the_mark_the_header_and_the_declaration_say_the_encoding(body: bytes, charset: str | None) -> None:
    assert read_document(body, charset).text == rss(HARBOUR)


@pytest.mark.parametrize(("encoding", "charset"), [("utf-8", None), ("iso-8859-1", "utf-8"), (None, None)])
def test_one_bad_byte_costs_one_character(encoding: str | None, charset: str | None) -> None:
    body = rss(f"{HARBOUR} caf?", encoding).encode().replace(b"caf?", b"caf\xe9 x")
    assert read_document(body, charset).text == rss(f"{HARBOUR} caf\ufffd x")


def test_western_text_without_a_statement_is_windows_1252() -> None:
    assert read_document(rss("“café”").encode("cp1252"), None).text == rss("“café”")
    assert read_document(rss("“café”").encode("cp1252"), "iso-8859-1").text == rss("“café”")


@pytest.mark.parametrize(
    "bad", ["&#0;", "&#x1F;", "&#xFFFF;", "&#xD800;", "&#99999999999;", "&#x110000;", "\x01", "\uffff", "&#0000;"]
)
def test_a_character_that_xml_lacks_costs_itself(bad: str) -> None:
    assert read_document(rss(f"a {bad} b").encode(), None).text == rss("a \ufffd b")


def test_good_references_stay() -> None:
    good = rss("&#233; &#xE9; &#x00000000E9; &#128512; &amp; &bogus; &#;")
    assert read_document(good.encode(), None).text == good


BOMB = "".join(f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(9))


@pytest.mark.parametrize(
    "declared",
    [
        f'<!DOCTYPE rss [<!ENTITY a "xxxx">{BOMB}]>',
        f'<!DOCTYPE rss [<!ENTITY a "{"x" * 100_000}">]>',
        "<!DOCTYPE rss [<!ENTITY % a '&#37;b;&#37;b;'>]>",
        "<!DOCTYPE rss [<!ENTITY a '&b;'>]>",
    ],
)
def test_entities_that_grow_are_refused_before_they_do(declared: str) -> None:
    start = time.process_time()
    with pytest.raises(FeedUnavailable, match="such a document may grow without limit"):
        read_document((declared + rss("&a;" * 100_000)).encode(), None)
    assert time.process_time() - start < 5


def test_entities_that_are_characters_are_kept() -> None:
    text = f'<!DOCTYPE rss [<!ENTITY nbsp "&#160;"><!ENTITY eacute "é">]>{rss("a&nbsp;b")}'
    assert read_document(text.encode(), None).text == text


@pytest.mark.parametrize(
    ("text", "is_whole", "cuts_entry"),
    [
        ("<rss><item>a</item></rss>", True, False),
        ("<rss><item>a</item></rss><!-- made in 3 ms -->", True, False),
        ("<a:feed xmlns:a='x'><a:entry>a</a:entry></a:feed>", True, False),
        ("<rss><item>a</item><item><ti", False, True),
        ("<rss><item>a</item>", False, False),
        ("<rss><item>a</item><it", False, False),
        ("", True, False),
        ("no feed", True, False),
    ],
)
def test_a_document_that_ends_too_early_is_seen(text: str, is_whole: bool, cuts_entry: bool) -> None:
    document = read_document(text.encode(), None)
    assert (document.is_whole, document.cuts_entry) == (is_whole, cuts_entry)


@given(
    st.binary(max_size=100), st.none() | st.text(max_size=10) | st.sampled_from(["utf-7", "idna", "base64", "utf-16"])
)
def test_any_bytes_are_text(body: bytes, charset: str | None) -> None:
    read_document(body, charset).text.encode()
