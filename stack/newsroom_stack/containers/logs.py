"""Follow the output of containers, including those that are added or restarted meanwhile."""

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
"""Interval between two searches for new and restarted containers."""

MOST_WAITING = 10_000
"""Lines that the queue holds for a slow reader before the containers' streams wait."""

ALIVE = {"running", "paused", "restarting"}


def lines_of(output: bytes) -> list[str]:
    """A container's output as lines."""
    return output.decode(errors="replace").splitlines()


class Follower:
    """Follows the containers that `find` returns. `name_of` names the source of a line."""

    def __init__(self, find: Callable[[], Sequence[Container]], name_of: Callable[[Container], str]) -> None:
        self._find = find
        self._name_of = name_of
        self._arrived: queue.Queue[tuple[str, str]] = queue.Queue(MOST_WAITING)
        self._followed: dict[str, threading.Thread] = {}
        self._read_until: dict[str, float] = {}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield pairs of instance and line until every container has ended."""
        containers = self._find()
        while True:
            for container in containers:
                self._follow(container)
            if not self._followed and not any(container.status in ALIVE for container in containers):
                return
            end = time.monotonic() + LOOK_SECONDS
            while (left := end - time.monotonic()) > 0 or not self._arrived.empty():
                try:
                    yield self._arrived.get(timeout=max(0.0, left))
                except queue.Empty:
                    break
            self._followed = {number: thread for number, thread in self._followed.items() if thread.is_alive()}
            try:
                containers = self._find()
            except StackError:  # the last container was removed
                return

    def _follow(self, container: Container) -> None:
        number = str(container.id)
        known = number in self._read_until
        if number in self._followed or (known and container.status not in ALIVE):
            return
        thread = threading.Thread(target=self._read, args=(container, self._read_until.get(number)), daemon=True)
        self._followed[number] = thread
        thread.start()

    def _read(self, container: Container, since: float | None) -> None:
        name = self._name_of(container)
        self._read_until[str(container.id)] = time.time()
        rest = b""
        try:
            for chunk in container.logs(stream=True, follow=True, since=since):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._arrived.put((name, line.decode(errors="replace").rstrip("\r")))
        except DockerException as error:  # the container was removed
            rest += f"(no more lines: {error})".encode()
        if rest:
            self._arrived.put((name, rest.decode(errors="replace")))
        self._read_until[str(container.id)] = time.time()
