"""Plain text of what feeds write as HTML: titles, media names and descriptions."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer"}
    | {"form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section"}
    | {"table", "td", "th", "tr", "ul"}
)
"""Elements that stand apart from the text around them. All others may stand within a word."""

UNSEEN = frozenset({"script", "style"})
"""Elements whose text a reader does not see."""

LONGEST_HTML = 1 << 16
"""Characters that the parser reads; its time grows with the square of odd input. Longer text loses its tags only."""

TAG = re.compile(r"<[^<>]*>")
TYPED_AS_TEXT = re.compile(r"<(?:br|wbr|hr|img)\b[^<>]*>|</\w+>", re.IGNORECASE)
"""What gives HTML away in RSS, where a title has no type."""

FOLD = re.compile(r"[ \t\r\n]+")
"""White space of XML. A no-break space is a character of the text."""


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unseen = 0

    @override
    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self._unseen += tag in UNSEEN
        self.parts.append(" " if tag in BLOCKS else "")

    @override
    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in UNSEEN))
        self.parts.append(" " if tag in BLOCKS else "")

    @override
    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)


def plain_text(text: str) -> str:
    """Return a text in one line."""
    return FOLD.sub(" ", text).strip(" ")


def text_of_html(html: str) -> str:
    """Return the text of HTML in one line, without tags and with its entities as characters."""
    if len(html) <= LONGEST_HTML:
        parser = _Text()
        try:
            parser.feed(html)
            parser.close()
        except AssertionError:  # a declaration that the parser does not know, such as <![if !IE]>
            pass
        else:
            return plain_text("".join(parser.parts))
    return plain_text(unescape(TAG.sub(" ", html)))


def text_of(value: str, kind: str | None, *, guess: bool) -> str:
    """Return the text of a feed's element of type `kind` (text/plain, text/html or application/xhtml+xml).

    `guess` looks for HTML in a text that has no type of its own, as in RSS.
    """
    if (kind or "text/plain") != "text/plain" or (guess and TYPED_AS_TEXT.search(value)):
        return text_of_html(value)
    return plain_text(value)
