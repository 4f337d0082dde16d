"""Replica identity: a replica takes the lowest free slot by locking a file on the state volume.

The kernel frees the lock when the process dies, however it dies. So a replica that is killed and restarted gets its
identity back: its state folder, its transactional.id, its group.instance.id.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from newsroom.errors import SettingsError, SlotsExhausted

if TYPE_CHECKING:
    from pathlib import Path

MAX_SLOTS = 64
"""Far more than any topic here has partitions. The limit ends the search on a broken volume."""


@dataclass(frozen=True)
class Slot:
    """A replica's identity, until the slot is closed or the process dies."""

    number: int
    folder: Path
    _descriptor: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def take_slot(root: Path) -> Slot:
    """Take the lowest free slot under `root` and make its folder `slot-N`.

    Raises:
        SettingsError: `root` cannot be written.
        SlotsExhausted: living processes hold all slots.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in range(MAX_SLOTS):
            # Python opens files close-on-exec: a child process must not keep the identity of a dead parent.
            descriptor = os.open(root / f"slot-{number}.lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            folder = root / f"slot-{number}"
            folder.mkdir(exist_ok=True)
            return Slot(number, folder, descriptor)
    except OSError as error:
        raise SettingsError(f"state folder {root} cannot be used: {error.strerror} ({error.filename})") from error
    raise SlotsExhausted(f"all {MAX_SLOTS} slots in {root} are held by living replicas: stop some of them")
