"""The one wait of the tests: as the services wait, with a failure that says what was awaited."""

from collections.abc import Callable
from typing import TypeVar

from newsroom.errors import NotYet
from newsroom.waiting import Deadline, Wait, do_nothing

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Wait until `probe` returns something true, and return it; fail with what was awaited and last returned."""

    def attempt() -> T:
        value = probe()
        if not value:
            raise NotYet(f"last seen {value!r}")
        return value

    wait = Wait(Deadline(seconds), first_pause=0.01, longest_pause=0.25, report=do_nothing)
    return wait.until(attempt, lambda missing: AssertionError(f"{what}: not seen within {seconds:g} s, {missing}"))
