"""Crash points: named places at which a test lets the process kill itself, to see what a crash leaves behind.

`NEWSROOM_CRASH_AT=POINT[:PASSAGE[:SECONDS]]` kills the process with SIGKILL when it passes the point for the
PASSAGE-th time (the first, if it is not said), after a pause of SECONDS at the point. Nothing else reads the variable.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from itertools import count
from typing import TYPE_CHECKING

from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "NEWSROOM_CRASH_AT"

BEFORE_EFFECT, AFTER_EFFECT = "before-effect", "after-effect"
BEFORE_COMMIT, AFTER_COMMIT = "before-commit", "after-commit"
"""The points around what a record causes, and around the commit of its offset."""

_PLAN = re.compile(r"(?P<point>[a-z-]+)(:(?P<passage>[1-9]\d*)(:(?P<pause>\d+(\.\d+)?))?)?")


def _planned(text: str) -> Callable[[str], None]:
    """The function that is called at every crash point."""
    if not text:
        return lambda _: None
    plan = _PLAN.fullmatch(text)
    if plan is None:
        raise SettingsError(f"{VARIABLE}={text} is not POINT[:PASSAGE[:SECONDS]], as in after-effect:2")
    passages = count(1)

    def pass_by(point: str) -> None:
        if point == plan["point"] and next(passages) == int(plan["passage"] or 1):
            time.sleep(float(plan["pause"] or 0))
            sys.stderr.write(f"killed at crash point {text}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    return pass_by


_pass_by: Callable[[str], None] | None = None


def crash_point(point: str) -> None:
    """Do nothing, or end the process here as `kill -9` does.

    Raises:
        SettingsError: the variable is not of its form.
    """
    global _pass_by  # noqa: PLW0603 - the environment is read once, at the first point
    if _pass_by is None:
        _pass_by = _planned(os.environ.get(VARIABLE, ""))
    _pass_by(point)
