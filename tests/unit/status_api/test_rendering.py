"""A body is made once for each snapshot, for however many requests."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from status_api.rendering import Renderings


def test_a_body_is_made_once_for_each_snapshot_and_key() -> None:
    bodies = Renderings()
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return name.encode()

    for snapshot, key in [("1", "a"), ("1", "a"), ("1", "b"), ("2", "a"), ("2", "a")]:
        assert bodies.get(snapshot, key, partial(make, snapshot + key)) == f"{snapshot}{key}".encode()
    assert made == ["1a", "1b", "2a"]


def test_who_asks_while_a_body_is_made_waits_for_it_and_who_asks_for_another_does_not() -> None:
    bodies = Renderings()
    started, go_on = threading.Event(), threading.Event()

    def slow() -> bytes:
        started.set()
        assert go_on.wait(20)
        return b"slow"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(bodies.get, "1", "slow", slow)
        assert started.wait(20)
        second = pool.submit(bodies.get, "1", "slow", lambda: b"made twice")
        assert bodies.get("1", "other", lambda: b"other") == b"other"
        go_on.set()
        assert (first.result(20), second.result(20)) == (b"slow", b"slow")


def test_a_failure_is_not_kept() -> None:
    bodies = Renderings()

    def fail() -> bytes:
        raise LookupError

    with pytest.raises(LookupError):
        bodies.get("1", "a", fail)
    assert bodies.get("1", "a", lambda: b"good") == b"good"
