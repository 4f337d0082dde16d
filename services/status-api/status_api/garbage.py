"""How often Python looks for garbage.

With 2,000 groups a look at all objects stops every thread for 0.1 s and more, and Python looks once or twice in each
snapshot.
"""

from __future__ import annotations

import gc

YOUNG = 50_000
"""New objects after which the young are looked at: a snapshot of 2,000 groups makes twice as many."""
OLDER, ALL = 20, 100
"""Looks at the young for one at the older, and looks at those for one at all objects: one in some ten minutes.

A snapshot has no reference cycle, so its memory is free without a look as soon as the next one is there.
"""


def look_seldom() -> None:
    """Set the thresholds, and leave what has been imported out of every look."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, ALL)
