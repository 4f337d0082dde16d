"""The words of Kafka that are explained."""

import re
from collections import Counter

import pytest

from newsroom.words import WORDS, Word, find


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("LAG", "lag"),
        ("Partitions", "partition"),
        ("in-sync replicas", "in-sync replica"),
        ("ISR", "in-sync replica"),
        ("session.timeout.ms", "member"),
        ("dead  letter", "dead letter"),
        ("acks", "acknowledgement"),
        ("nothing", None),
    ],
)
def test_a_word_is_found_by_what_people_call_it(name: str, word: str | None) -> None:
    assert find(name) == word


def test_each_word_is_explained_once_and_shortly() -> None:
    names = [*WORDS, *(also for word in WORDS.values() for also in word.also)]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(name == name.lower() for name in names)
    for name, word in WORDS.items():
        assert word.text.endswith("."), name
        assert len(re.findall(r"\w+", word.text)) <= 50, name
        assert find(name) == name


def test_a_tooltip_is_the_first_sentence() -> None:
    assert Word("One thing. And another.").short == "One thing."
    assert Word("One thing.").short == "One thing."
