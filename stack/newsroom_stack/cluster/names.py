"""Names for a shell's completion: quick, and silent about every error."""

from __future__ import annotations

import contextlib

from newsroom_stack.cluster.connection import Cluster, load_connection
from newsroom_stack.cluster.groups import Groups


def topic_names() -> list[str]:
    """The topics of the cluster that the settings name."""
    with contextlib.suppress(Exception):  # an error's text would become a word on the command line
        return sorted(name for name in Cluster(load_connection()).topics() if not name.startswith("__"))
    return []


def group_names() -> list[str]:
    """The groups of the cluster that the settings name."""
    with contextlib.suppress(Exception), Groups(Cluster(load_connection())) as groups:
        return [group.name for group in groups.all()]
    return []
