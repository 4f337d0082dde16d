"""What counts as a word."""

import sys
import unicodedata

import pytest

from wordcount_stream.words import MARKS, MAX_WORD_CHARACTERS, without_overlong, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("value10", ["value10"]),
        ("The cat, the HAT!", ["the", "cat", "the", "hat"]),
        ("  --  ", []),
        ("", []),
        ("don't", ["don", "t"]),
        ("Čapek's naïve café", ["čapek", "s", "naïve", "café"]),
        ("snake_case 3.14", ["snake_case", "3", "14"]),
        ("caf\u00e9 cafe\u0301 CAFE\u0301", ["caf\u00e9"] * 3),
        ("\u0130stanbul", ["i\u0307stanbul"]),
        ("हिन्दी में समाचार।", ["हिन्दी", "में", "समाचार"]),
        ("தமிழ் செய்தி", ["தமிழ்", "செய்தி"]),
        ("ข่าวที่ดี", ["ข่าวที่ดี"]),
        ("مُحَمَّد، كِتَابٌ", ["مُحَمَّد", "كِتَابٌ"]),
        ("שָׁלוֹם עֲלֵיכֶם", ["שָׁלוֹם", "עֲלֵיכֶם"]),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"]),
        ("𑄌𑄋𑄴𑄟𑄳𑄦", ["𑄌𑄋𑄴𑄟𑄳𑄦"]),
        ("\u0301 \u200d- a\u200d", ["a"]),
        ("❤\ufe0f ok", ["ok"]),
    ],
)
def test_lower_case_words_without_empty_ones(text: str, words: list[str]) -> None:
    assert words_of(text) == [unicodedata.normalize("NFC", word) for word in words]


@pytest.mark.parametrize("text", ["filter3", "a filter b", "unfiltered"])
def test_a_text_that_contains_filter_is_dropped(text: str) -> None:
    assert words_of(text) is None


def test_filter_is_looked_for_before_lower_casing() -> None:
    assert words_of("FILTER") == ["filter"]


def test_a_word_too_long_for_a_key_is_left_out_alone() -> None:
    longest = "x" * MAX_WORD_CHARACTERS
    assert without_overlong(["a", longest, f"{longest}x", "b"]) == ["a", longest, "b"]


def test_every_combining_mark_of_unicode_stays_with_its_letter() -> None:
    marks = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in {"Mn", "Mc"}]
    assert marks == MARKS
    torn = [code for code in marks if len(words_of(f"x{chr(code)}y") or []) != 1]
    assert torn == []
