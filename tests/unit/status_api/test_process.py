"""Python's looks for garbage, as the service sets them."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest

from status_api.process import LOOK_SECONDS, NEW_OBJECTS, Looks, shorten_pauses
from unit.status_api.fakes import Clock


class Ring:
    """Refers to itself, so that only a look for garbage frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def short() -> Iterator[None]:
    before, interval = gc.get_threshold(), sys.getswitchinterval()
    shorten_pauses()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    sys.setswitchinterval(interval)


def looks_during(act: Callable[[], object]) -> int:
    """How often Python looks for garbage meanwhile."""
    looks: list[str] = []

    def watch(phase: str, _: dict[str, int]) -> None:
        looks.append(phase)

    gc.callbacks.append(watch)
    try:
        act()
    finally:
        gc.callbacks.remove(watch)
    return looks.count("start")


def test_snapshots_that_replace_one_another_make_no_look() -> None:
    snapshots: list[list[list[int]]] = [[]]

    def take() -> None:
        for _ in range(10):
            snapshots[0] = [[number] for number in range(NEW_OBJECTS // 3)]

    gc.collect()
    assert looks_during(take) == 0


def test_garbage_in_rings_is_freed_when_there_is_much_or_in_time() -> None:
    first = weakref.ref(Ring())
    for _ in range(2 * NEW_OBJECTS):
        Ring()
    assert first() is None
    clock = Clock()
    looks, second = Looks(clock), weakref.ref(Ring())
    looks.turn()
    assert second() is not None
    clock.now += LOOK_SECONDS
    looks.turn()
    assert second() is None
