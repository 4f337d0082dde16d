"""The document of a feed: from the bytes that a server sent to text that an XML parser takes.

The byte order mark, the header and the XML declaration say how the bytes are coded. What is wrong with one character
costs this character, and not the feed.
"""

from __future__ import annotations

import codecs
import re
import sys
from dataclasses import dataclass
from html import unescape

from news_producer.errors import FeedUnavailable

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0?\0", "utf-16-le"),
    (b"\0<\0?", "utf-16-be"),
)
"""How documents begin that say their encoding with their first bytes."""

SUPERSETS = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}
"""What servers mean by these names."""

UTF_8 = "utf-8"
SAMPLE = b"<?xml+?>\\u0041"
"""What an encoding must leave as it is. Python has others, too: utf-7, idna, unicode_escape."""
DECLARATION = re.compile(r"<\?xml\b[^>]*?\?>")
DECLARED = re.compile(rb"<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([\w.:-]+)[\"']")
ROOT = re.compile(r"<([A-Za-z_][\w:.-]*)")
ENTITY = re.compile(r"<!ENTITY\s+(?:%\s+)?([^\s\"'>]+)\s+(?:\"([^\"]*)\"|'([^']*)')?")
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML does not have."""
REFERENCE = re.compile(r"&#(?:[xX]0*([0-9a-fA-F]+)|0*([0-9]+));")
ENTRY = re.compile(r"<(/?)(?:\w+:)?(?:item|entry)\b", re.IGNORECASE)

REPLACEMENT = "\ufffd"
LONGEST_NUMBER = 8
"""Digits of a character's number; a longer one is not the number of any character."""


@dataclass(frozen=True)
class Document:
    """The text of a feed."""

    text: str
    is_whole: bool
    """Whether it ends where its root element ends."""
    cuts_entry: bool
    """Whether it ends within an entry."""


def read_document(body: bytes, charset: str | None) -> Document:
    """Read what a server sent; `charset` is that of its header.

    Raises:
        FeedUnavailable: the document declares entities that make it grow.
    """
    text = DECLARATION.sub("", _decoded(body, charset).lstrip("\ufeff \t\r\n\0"), count=1)
    text = REFERENCE.sub(_known_character, FORBIDDEN.sub(REPLACEMENT, text))
    root = ROOT.search(text)
    _refuse_growth(text[: root.start()] if root else text)
    is_whole = root is None or f"</{root[1]}" in text
    slashes = [match[1] for match in ENTRY.finditer(text)]
    return Document(text, is_whole, cuts_entry=not is_whole and slashes[-1:] == [""])


def _decoded(body: bytes, charset: str | None) -> str:
    for mark, encoding in MARKS:
        if body.startswith(mark):
            return body.decode(encoding, "replace")
    match = DECLARED.match(body.lstrip())
    names = [name for name in (_codec(charset), _codec(match[1].decode() if match else None)) if name]
    if UTF_8 in names or not names:
        # Latin text is never valid UTF-8 by chance, so one statement is enough.
        text = body.decode(UTF_8, "replace")
        bad = text.count(REPLACEMENT)
        good = sum(1 for character in text if character > "\x7f") - bad if bad else 1
        if good >= bad or set(names) == {UTF_8}:
            return text
    for name in names:
        try:
            return body.decode(name)
        except UnicodeDecodeError:
            continue
    return body.decode(names[0] if names else "cp1252", "replace")


def _codec(name: str | None) -> str | None:
    """The codec for a name; None if no document in it begins as XML does, or if such documents begin with a mark."""
    try:
        codec_name = codecs.lookup(name or "").name
        is_ascii = SAMPLE.decode(codec_name, "replace") == SAMPLE.decode()
    except (LookupError, ValueError):
        return None
    return SUPERSETS.get(codec_name, codec_name) if is_ascii else None


def _known_character(reference: re.Match[str]) -> str:
    digits, base = (reference[1], 16) if reference[1] else (reference[2], 10)
    number = int(digits, base) if len(digits) <= LONGEST_NUMBER else 0
    is_character = 0 < number <= sys.maxunicode and not FORBIDDEN.match(chr(number))
    return reference[0] if is_character else REPLACEMENT


def _refuse_growth(head: str) -> None:
    for entity in ENTITY.finditer(head):
        name, value = entity[1], entity[2] or entity[3] or ""
        if len(unescape(value)) > len(name) + 2 or re.search(r"[&%]\w", value):
            raise FeedUnavailable(f"it declares the entity {name[:20]!r}, and such a document may grow without limit")
