"""The changelog that a group's state is restored from, and the folder of the state that belongs to it.

State on disk is a cache of one changelog. With another changelog, the service would silently add the counts of
another cluster, or of the time before a reset: Quix compares only offsets.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsroom.logs import get_logger

if TYPE_CHECKING:
    from pathlib import Path

    from newsroom.slots import Slot

log = get_logger(__name__)

STORE_NAME = "default"
"""Quix's name for the store behind `apply(stateful=True)`."""


@dataclass(frozen=True)
class Changelog:
    """The changelog of the store that consumer group `group` builds from the topics `sources`.

    `rebuild` is the command that rebuilds the state with all that belongs to it, if there is one.
    """

    group: str
    sources: tuple[str, ...]
    rebuild: str = ""

    @property
    def topic(self) -> str:
        """The name that Quix gives the changelog topic."""
        return f"changelog__{self.group}--{'--'.join(sorted(self.sources))}--{STORE_NAME}"

    def start_anew(self) -> str:
        """The clause of an error that says how to rebuild the state.

        A new group is not an option: `word-deltas` still holds the old group's output, which would be counted again.
        """
        if self.rebuild:
            return (
                "to rebuild the state from the oldest retained records, stop all replicas that the stack does not run, "
                f"and run '{self.rebuild}'"
            )
        topics = " ".join(f"--topic {name}" for name in sorted(self.sources))
        return (
            "to rebuild the state from the oldest retained records, stop all replicas and run "
            f"kafka-consumer-groups --delete-offsets --group {self.group} {topics}"
        )


def state_folder(slot: Slot, topic_id: str) -> Path:
    """Return the folder in the replica's slot for the state of the changelog with this id; remove all others.

    Topic ids are globally unique, so another cluster's state, or a deleted changelog's, is in another folder. If its
    changelog comes back, Quix restores the removed state. If such folders were kept, they would fill the disk.
    """
    for folder in sorted(slot.folder.iterdir()):
        if folder.name != topic_id and folder.is_dir():
            log.info("removing the state of another changelog", folder=str(folder))
            shutil.rmtree(folder, ignore_errors=True)
    return slot.folder / topic_id
