"""The judge's own rules of a word are those of the service, which it does not import."""

from hypothesis import example, given
from hypothesis import strategies as st

from newsroom_audit.history import Record
from newsroom_audit.words import text_of, words_of
from wordcount_stream import words as service

LETTERS_AND_MARKS = (
    "aé \u0301\u0308\u0915\u093f\u094d\u200c\u200d\u0627\u064e\U00011107\U00011100\u0130_-\ufe0f\U000e0100"
)
MARKED = st.text(st.sampled_from(LETTERS_AND_MARKS), max_size=30)


@given(st.text(max_size=60) | MARKED)
@example("Value10, value11! filter")
@example("a" * 1001 + " short")
@example("İstanbul ß ﬁ snake_case 中文")
def test_the_judge_counts_the_words_that_the_service_counts(text: str) -> None:
    assert words_of(text) == tuple(service.without_overlong(service.words_of(text) or []))


def test_tombstones_and_other_bytes_have_no_text() -> None:
    assert text_of(Record("t", 0, 0, value=None)) is None
    assert text_of(Record("t", 0, 0, value=b"\xff")) is None
    assert text_of(Record("t", 0, 0, value="é".encode())) == "é"
