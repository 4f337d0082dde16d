"""How the stack waits: as the services do, but without log lines and with a constant pause."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from newsroom.waiting import Deadline, StopFlag, Wait, do_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom_stack.errors import StackError

T = TypeVar("T")


def deadline_after(seconds: float | None) -> Deadline:
    """A deadline; one that never passes without `seconds`."""
    return Deadline(math.inf if seconds is None else seconds)


def wait_until(
    attempt: Callable[[], T],
    seconds: float,
    late: Callable[[str], StackError],
    *,
    pause: float,
    stop: StopFlag | None = None,
) -> T:
    """Call `attempt` every `pause` seconds until it does not raise `NotYet`, and return its result.

    Raises:
        StackError: something is still missing after so many seconds; `late` makes the error from it.
        Stopped: `stop` was set.
    """
    # `stop or …` would drop a flag that is not set yet: it is false until then.
    stop = StopFlag() if stop is None else stop
    wait = Wait(Deadline(seconds), stop, first_pause=pause, longest_pause=pause, report=do_nothing)
    return wait.until(attempt, late)
