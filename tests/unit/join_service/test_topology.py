"""The join's dataframes, run without a broker."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from join_service.settings import JoinSettings
from join_service.topology import build
from newsroom.streams.outputs import LARGEST_BYTES
from support.quix import LETTERS, Running, counter

SETTINGS = JoinSettings()


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path, lambda app: build(app, SETTINGS, LETTERS, lambda call: call()), "word--word-counts")


def joined(running: Running) -> list[bytes]:
    return [value for _, value, _ in running.records_of("words-joined")]


def test_the_labs_join(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.feed("word-counts", b"5", b"value10")
    running.feed("word-counts", b"6", b"value10")
    running.feed("word", b"active", b"value10", timestamp=3000)
    assert running.records_of("words-joined") == [(b"value10", b'{"count": 6, "label": "active"}', 3000)]
    assert "key value10 - value (6, active)" in capsys.readouterr().out


def test_a_newer_timestamp_does_not_hide_the_count_processed(running: Running) -> None:
    running.feed("word-counts", b"1", b"a", timestamp=9000)
    running.feed("word", b"x", b"a", timestamp=1000)
    assert joined(running) == [b'{"count": 1, "label": "x"}']


@pytest.mark.parametrize(
    ("key", "label"),
    [(b"ab", b"x"), (b"", b"x"), (b"a", None)],
    ids=["another word", "an empty word", "a null label"],
)
def test_a_count_is_joined_by_no_other_label(running: Running, key: bytes, label: bytes | None) -> None:
    running.feed("word-counts", b"1", b"a")
    running.feed("word", label, key)
    assert joined(running) == []


def test_a_tombstone_deletes_the_count(running: Running) -> None:
    running.feed("word-counts", b"1", b"a")
    running.feed("word-counts", None, b"a")
    running.feed("word", b"x", b"a")
    assert joined(running) == []


def test_null_keys_are_dropped_on_both_sides(running: Running) -> None:
    before = [counter("join_without_key", topic=topic) for topic in ("word", "word-counts")]
    running.feed("word-counts", b"1", None)
    running.feed("word", b"x", None)
    assert joined(running) == []
    after = [counter("join_without_key", topic=topic) for topic in ("word", "word-counts")]
    assert after == [number + 1 for number in before]


@pytest.mark.parametrize(("topic", "value"), [("word", b"\xff"), ("word-counts", b"six")])
def test_poison_goes_to_the_dead_letters_and_changes_nothing(running: Running, topic: str, value: bytes) -> None:
    before = counter("join_undecodable", topic=topic)
    running.feed("word-counts", b"1", b"a")
    running.feed(topic, value, b"a")
    assert joined(running) == []
    assert counter("join_undecodable", topic=topic) == before + 1
    assert [(letter.key, letter.value, letter.origin["origin.topic"]) for letter in running.letters] == [
        (b"a", value, topic.encode())
    ]
    running.feed("word", b"x", b"a")
    assert joined(running) == [b'{"count": 1, "label": "x"}']


def test_a_label_whose_pair_is_too_large_goes_to_the_dead_letters(running: Running) -> None:
    before = counter("join_too_large")
    running.feed("word-counts", b"1", b"a")
    label = b'"' * (LARGEST_BYTES // 2)
    running.feed("word", label, b"a")
    assert joined(running) == []
    assert counter("join_too_large") == before + 1
    assert [letter.value for letter in running.letters] == [label]


def test_a_labels_headers_are_passed_on_while_they_fit(running: Running) -> None:
    before = counter("join_without_headers")
    running.feed("word-counts", b"1", b"a")
    running.feed("word", b"x", b"a", headers=[("trace", b"1")])
    running.feed("word", b"x", b"a", headers=[("trace", b"1" * LARGEST_BYTES)])
    assert running.headers == [[("trace", b"1")], []]
    assert counter("join_without_headers") == before + 1


def test_a_key_too_large_for_the_state_is_poison(running: Running) -> None:
    before = counter("join_undecodable", topic="word-counts")
    key = b"a" * (LARGEST_BYTES + 1)
    running.feed("word-counts", b"1", key)
    assert counter("join_undecodable", topic="word-counts") == before + 1
    assert [(letter.key, letter.value) for letter in running.letters] == [(key, b"1")]


RECORD = st.tuples(
    st.sampled_from(["word", "word-counts"]),
    st.none() | st.binary(max_size=20) | st.integers().map(lambda number: b"%d" % number),
    st.none() | st.binary(max_size=3),
    st.integers(-1, 2**63 - 1),
)


@given(records=st.lists(RECORD, max_size=30))
@example([("word-counts", b"-9999999999999999999", b"a", 1)])
@settings(max_examples=40)
def test_no_record_stops_the_join(records: list[tuple[str, bytes | None, bytes | None, int]]) -> None:
    with TemporaryDirectory() as folder:
        running = Running(
            Path(folder), lambda app: build(app, SETTINGS, LETTERS, lambda call: call()), "word--word-counts"
        )
        before = [counter("join_messages", topic=topic) for topic in ("word", "word-counts")]
        for topic, value, key, timestamp in records:
            running.feed(topic, value, key, timestamp=timestamp)
        after = [counter("join_messages", topic=topic) for topic in ("word", "word-counts")]
        assert sum(after) - sum(before) == len(records)
