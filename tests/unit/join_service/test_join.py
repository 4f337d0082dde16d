"""The join of one record at a time."""

import json

import pytest

from join_service.join import Count, JoinResult, Label, decode_count, join, joined_line
from newsroom.errors import DecodeError


class KeyState(dict[str, int]):
    def set(self, key: str, value: int) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def test_a_label_meets_the_newest_count_processed() -> None:
    state = KeyState()
    assert join(Count(5), state) is None
    assert join(Count(6), state) is None
    assert join(Label("active"), state) == JoinResult(6, "active")


def test_a_count_that_goes_down_is_still_the_newest() -> None:
    state = KeyState()
    join(Count(6), state)
    join(Count(2), state)
    assert join(Label("x"), state) == JoinResult(2, "x")


def test_a_count_of_zero_is_a_count() -> None:
    state = KeyState()
    join(Count(0), state)
    assert join(Label("x"), state) == JoinResult(0, "x")


def test_a_label_without_count_emits_nothing_and_is_forgotten() -> None:
    state = KeyState()
    assert join(Label("active"), state) is None
    assert join(Count(6), state) is None


def test_a_tombstone_deletes() -> None:
    state = KeyState()
    join(Count(6), state)
    assert join(Count(None), state) is None
    assert join(Label("active"), state) is None
    assert not state


def test_the_result_reads_as_in_the_lab() -> None:
    joined = JoinResult(6, "active")
    assert joined_line("value10", joined) == "key value10 - value (6, active)"
    assert joined.as_json() == b'{"count": 6, "label": "active"}'
    assert json.loads(JoinResult(1, 'ž"').as_json()) == {"count": 1, "label": 'ž"'}


@pytest.mark.parametrize(("data", "count"), [(b"6", 6), (b"0", 0), (b"123456789012", 123456789012)])
def test_counts_are_decimal_digits(data: bytes, count: int) -> None:
    assert decode_count(data) == count


@pytest.mark.parametrize("data", [b"", b"six", b"6.0", b" 6", b"1_0", b"6\n", b"\xd9\xa6", b"9" * 5000])
def test_other_counts_are_poison(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_count(data)
