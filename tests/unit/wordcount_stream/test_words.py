"""What counts as a word."""

import pytest

from wordcount_stream.words import MAX_WORD_CHARACTERS, without_overlong, words_of


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
    ],
)
def test_lower_case_words_without_empty_ones(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize("text", ["filter3", "a filter b", "unfiltered"])
def test_a_text_that_contains_filter_is_dropped(text: str) -> None:
    assert words_of(text) is None


def test_filter_is_looked_for_before_lower_casing() -> None:
    assert words_of("FILTER") == ["filter"]


def test_a_word_too_long_for_a_key_is_left_out_alone() -> None:
    longest = "x" * MAX_WORD_CHARACTERS
    assert without_overlong(["a", longest, f"{longest}x", "b"]) == ["a", longest, "b"]
