"""What containers write, as it comes: of those too that are added or start again while somebody reads."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from docker.errors import DockerException

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from docker.models.containers import Container

LOOK_SECONDS = 1.0
"""Between two looks for containers that are new or run again."""

MOST_WAITING = 10_000
"""Lines that wait for a slow reader; then the containers' streams wait."""

ALIVE = {"running", "paused", "restarting"}


def lines_of(output: bytes) -> list[str]:
    """A container's output as lines."""
    return output.decode(errors="replace").splitlines()


class Follower:
    """Follows the containers that `find` finds; `name_of` is what a line's source is called."""

    def __init__(self, find: Callable[[], Sequence[Container]], name_of: Callable[[Container], str]) -> None:
        self._find = find
        self._name_of = name_of
        self._arrived: queue.Queue[tuple[str, str]] = queue.Queue(MOST_WAITING)
        self._followed: dict[str, threading.Thread] = {}
        self._seen_until: dict[str, float] = {}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Pairs of instance and line; ends when no container lives any more."""
        found = self._find()
        while True:
            for each in found:
                self._follow(each)
            if not self._followed and not any(each.status in ALIVE for each in found):
                return
            end = time.monotonic() + LOOK_SECONDS
            while (left := end - time.monotonic()) > 0 or not self._arrived.empty():
                try:
                    yield self._arrived.get(timeout=max(0.0, left))
                except queue.Empty:
                    break
            self._followed = {number: thread for number, thread in self._followed.items() if thread.is_alive()}
            try:
                found = self._find()
            except StackError:  # the last of them was removed
                return

    def _follow(self, container: Container) -> None:
        number = str(container.id)
        known = number in self._seen_until
        if number in self._followed or (known and container.status not in ALIVE):
            return
        thread = threading.Thread(target=self._read, args=(container, self._seen_until.get(number)), daemon=True)
        self._followed[number] = thread
        thread.start()

    def _read(self, container: Container, since: float | None) -> None:
        name = self._name_of(container)
        self._seen_until[str(container.id)] = time.time()
        rest = b""
        try:
            for chunk in container.logs(stream=True, follow=True, since=since):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._arrived.put((name, line.decode(errors="replace").rstrip("\r")))
        except DockerException as error:  # it was removed
            rest += f"(no more lines: {error})".encode()
        if rest:
            self._arrived.put((name, rest.decode(errors="replace")))
        self._seen_until[str(container.id)] = time.time()
