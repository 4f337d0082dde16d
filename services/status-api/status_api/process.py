"""What is set for the whole process, so that a large snapshot makes short pauses for requests and holds little memory.

With 2,000 groups a look for garbage stops every thread for 0.1 s and more, and Python by itself looks several times in
each snapshot. A snapshot has no reference cycle, so its memory is free without a look; only requests leave cycles.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NEW_OBJECTS = 250_000
"""New objects after which Python looks by itself: more than a snapshot of 2,000 groups makes, and a bound if many
requests leave cycles."""
LOOK_SECONDS = 60.0
"""How often all objects are looked at. Even a pause of half a second in each minute is not in the p99."""
SWITCH_SECONDS = 0.0005
"""For how long a thread keeps the interpreter while another one waits. A request changes threads several times."""
ARENAS_OPTION = -8
"""M_ARENA_MAX of glibc's malloc.h: by itself glibc keeps a part of the memory for each of the threads."""


def share_memory() -> None:
    """Let all threads take memory from one place, where the library of C can. Must come before there are threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(ARENAS_OPTION, 1)


def shorten_pauses() -> None:
    """Leave what has been imported out of every look for garbage, look seldom, and change threads often."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    sys.setswitchinterval(SWITCH_SECONDS)


class Looks:
    """Looks for garbage now and then."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._due = monotonic() + LOOK_SECONDS

    def turn(self) -> None:
        """Look if it is time."""
        if self._monotonic() >= self._due:
            self._due = self._monotonic() + LOOK_SECONDS
            gc.collect()
