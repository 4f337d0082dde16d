"""Python's looks for garbage, as the service sets them."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from status_api.garbage import YOUNG, look_seldom

OLDEST = 2
"""The number of the generation of all objects."""


class Ring:
    """Refers to itself, so that only a look for garbage frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def seldom() -> Iterator[None]:
    before = gc.get_threshold()
    look_seldom()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_objects_that_stay_are_not_looked_at_again_and_again() -> None:
    whole: list[dict[str, int]] = []

    def watch(_: str, info: dict[str, int]) -> None:
        if info["generation"] == OLDEST:
            whole.append(info)

    gc.callbacks.append(watch)
    try:
        kept = [[number] for number in range(10 * YOUNG)]
    finally:
        gc.callbacks.remove(watch)
    assert (len(kept), whole) == (10 * YOUNG, [])


def test_garbage_in_rings_is_freed() -> None:
    first = weakref.ref(Ring())
    for _ in range(2 * YOUNG):
        Ring()
    assert first() is None
