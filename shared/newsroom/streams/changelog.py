"""The topic that a group's state is restored from, and the folder of the state that belongs to it.

State on disk is a cache of the changelog. Taken for another one it would add the counts of one cluster, or of a time
before a reset, to those of another, and no one would notice: Quix compares nothing but offsets.
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
    """The changelog of the store that `group` builds from the topics `sources`."""

    group: str
    sources: tuple[str, ...]

    @property
    def topic(self) -> str:
        """The topic's name, as Quix gives it."""
        return f"changelog__{self.group}--{'--'.join(sorted(self.sources))}--{STORE_NAME}"

    def start_anew(self) -> str:
        """The clause that says how to build the state anew.

        Another group would be no way: wordcount's input holds what the first one wrote into it, and the new one
        would write it again.
        """
        topics = " ".join(f"--topic {name}" for name in sorted(self.sources))
        return (
            "to build it anew from the oldest records kept, stop all replicas and run "
            f"kafka-consumer-groups --delete-offsets --group {self.group} {topics}"
        )


def state_folder(slot: Slot, topic_id: str) -> Path:
    """The folder for the state of the changelog with this id, in the replica's slot; all others are removed.

    A topic's id is never given twice, in no cluster: that of another cluster, or of a changelog that was deleted, is
    another folder. Removing those costs no more than restoring them, should their changelog ever come back; kept,
    each would fill the disk for ever.
    """
    for folder in sorted(slot.folder.iterdir()):
        if folder.name != topic_id and folder.is_dir():
            log.info("state of another changelog is removed", folder=str(folder))
            shutil.rmtree(folder, ignore_errors=True)
    return slot.folder / topic_id
