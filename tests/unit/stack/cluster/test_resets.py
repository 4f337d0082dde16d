"""What a place in a topic means, and where a reset to it goes."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from newsroom_stack.cluster.connection import Cluster, Place, load_connection
from newsroom_stack.cluster.resets import Move, Target, parse_target, plan
from newsroom_stack.errors import StackError

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
A, B = ("t", 0), ("t", 1)


class FakeCluster:
    """Two partitions, from 10 to 20 and from 0 to 5; a time is offset 15 of the first and beyond the second."""

    def begins(self, places: list[Place]) -> dict[Place, int]:
        return {place: {A: 10, B: 0}[place] for place in places}

    def ends(self, places: list[Place]) -> dict[Place, int]:
        return {place: {A: 20, B: 5}[place] for place in places}

    def offsets(self, specs: dict[Place, Any]) -> dict[Place, int]:
        return {place: {A: 15, B: -1}[place] for place in specs}


CLUSTER = cast("Cluster", FakeCluster())


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("earliest", Target(word="earliest")),
        ("latest", Target(word="latest")),
        ("42", Target(offset=42)),
        ("-100", Target(shift=-100)),
        ("+7", Target(shift=7)),
        ("10m", Target(time=1_795_694_400_000 - 600_000)),
        ("2026-11-26T12:00:00", Target(time=1_795_694_400_000)),
        ("2026-11-26T13:00:00+01:00", Target(time=1_795_694_400_000)),
        ("2026-11-26T12:00:00.250", Target(time=1_795_694_400_250)),
    ],
)
def test_a_place_is_a_word_a_time_an_offset_or_records_back(text: str, target: Target) -> None:
    assert parse_target(text, NOW) == target


@pytest.mark.parametrize("text", ["", "soon", "1.5", "10 m", "2026-13-01", "--5"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(StackError, match="is not a place in a topic: write earliest, latest"):
        parse_target(text, NOW)


@pytest.mark.parametrize(
    ("target", "new"),
    [
        (Target(word="earliest"), (10, 0)),
        (Target(word="latest"), (20, 5)),
        (Target(offset=4), (10, 4)),
        (Target(offset=99), (20, 5)),
        (Target(shift=-3), (15, 0)),
        (Target(shift=1), (19, 3)),
        (Target(time=0), (15, 5)),
    ],
)
def test_a_reset_stays_inside_the_log(target: Target, new: tuple[int, int]) -> None:
    assert [move.new for move in plan(CLUSTER, target, {A: 18, B: 2}, [A, B])] == list(new)


def test_records_back_need_a_commit() -> None:
    with pytest.raises(StackError, match=r"nothing in t partition 1, so there is nothing to count -3 from"):
        plan(CLUSTER, Target(shift=-3), {A: 18}, [A, B])


def test_a_move_counts_what_is_read_again_and_what_is_skipped() -> None:
    assert (Move("t", 0, 18, 10).again, Move("t", 0, 18, 10).skipped) == (8, 0)
    assert (Move("t", 0, 10, 18).again, Move("t", 0, 10, 18).skipped) == (0, 8)
    assert (Move("t", 0, None, 3).again, Move("t", 0, None, 3).skipped) == (0, 0)


def test_the_connection_comes_from_the_variables_and_the_options_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_BOOTSTRAP_SERVERS", "a:1")
    monkeypatch.setenv("NEWSROOM_SASL_USERNAME", "")
    assert load_connection().bootstrap_servers == "a:1"
    assert load_connection("b:2").bootstrap_servers == "b:2"
    monkeypatch.setenv("NEWSROOM_SASL_USERNAME", "me")
    with pytest.raises(StackError, match="the settings of the connection are wrong: --sasl-username is set, but"):
        load_connection()
