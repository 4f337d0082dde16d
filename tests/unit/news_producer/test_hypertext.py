"""Text of HTML, and of what only looks like it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from news_producer.hypertext import LONGEST_HTML, text_of, text_of_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("A <em class='x'>new</em> bridge &amp; a<br>river", "A new bridge & a river"),
        ("<p>One</p><p>Two</p>", "One Two"),
        ("un<b>break</b>able", "unbreakable"),
        ("<3 lighthouse &lt;3", "<3 lighthouse <3"),
        ("  folded\n\t text ", "folded text"),
        ("Prix\xa0: 3&nbsp;€", "Prix\xa0: 3\xa0€"),
        ("<script>var x = 1</script><style>b{}</style>Seen", "Seen"),
        ("<![if !IE]>Old<![endif]> page", "Old page"),
        ("caf&eacute; &#8217; &#x2019; &bogus; AT&T", "café \u2019 \u2019 &bogus; AT&T"),
        ("<img src=x alt=y>", ""),
        ("x" * LONGEST_HTML + "<b>y</b> &amp;", "x" * LONGEST_HTML + " y &"),
    ],
)
def test_html_loses_tags_entities_and_folds(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.parametrize(
    ("value", "kind", "guess", "text"),
    [
        ("Use <head>\n elements &amp;", "text/plain", False, "Use <head> elements &amp;"),
        ("Use <head> elements", None, True, "Use <head> elements"),
        ("A<br/>B", None, True, "A B"),
        ("A<br/>B", "text/plain", False, "A<br/>B"),
        ("A <b>B</b>", "text/html", False, "A B"),
        ("<i>A</i>", "application/xhtml+xml", False, "A"),
    ],
)
def test_text_that_is_not_html_is_kept(value: str, kind: str | None, guess: bool, text: str) -> None:
    assert text_of(value, kind, guess=guess) == text


@given(st.text(st.sampled_from("<>!-[]&;#/ab \"'=?x1")))
@example("<!--" * 20_000)
@example("<![" * 20_000)
@example("<" * 300_000)
@example("<a " * 100_000)
def test_any_text_has_a_text(html: str) -> None:
    assert "\n" not in text_of_html(html)
