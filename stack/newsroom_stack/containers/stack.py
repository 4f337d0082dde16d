"""The stack as containers: docker compose starts, scales and stops them, the engine's API does the rest."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import docker
import requests
from docker.errors import APIError, DockerException
from typing_extensions import override

from newsroom.waiting import need
from newsroom_stack.catalogue import service_kind
from newsroom_stack.containers.compose import Compose
from newsroom_stack.containers.container import (
    LABEL,
    description,
    exit_code,
    health,
    instance,
    instance_name,
    is_finished_job,
    last_lines,
    lines_of,
    name_of,
    names_of,
    number_of,
    position,
    service_of,
)
from newsroom_stack.errors import StackError
from newsroom_stack.interface import Instance, Owner, Show, Stack, silent, unknown_name
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.waits import deadline_after, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker.models.containers import Container

    from newsroom_stack.settings import StackSettings

UP_SECONDS = 900.0
"""A first start builds five images and waits for three brokers: five minutes on two cores, more on a slow network."""

DOWN_SECONDS = 120.0
"""Containers stop layer by layer, each within its own grace period of 30 s."""

READY_SECONDS = 240.0
"""Deadline of a restarted container: longer than the health check's start period."""

GRACE_SECONDS = 30
"""The compose file's stop_grace_period, for the engine's own restart."""

ENGINE_SECONDS = 60
POLL_SECONDS = 0.5

ALIVE = {"running", "restarting", "paused"}


class ContainerStack(Stack):
    """The containers of one compose project."""

    def __init__(self, settings: StackSettings) -> None:
        super().__init__(settings)
        self.compose = Compose(settings)
        self._client: docker.DockerClient | None = None

    @override
    def running(self) -> bool:
        return any(container.status in ALIVE for container in self.containers())

    @override
    def start(self, *, run_for: float | None = None, show: Show = silent) -> Owner:
        if self.running():
            raise StackError(
                f"the compose project {self.compose.project} already runs: 'newsroom --docker ps' shows it, "
                "'newsroom --docker down' stops it"
            )
        try:
            self.up(show=show)
        except BaseException:
            show("stopping what has started")
            self.down()
            raise
        return ContainerOwner(self, run_for)

    @override
    def up(self, *, run_for: float | None = None, show: Show = silent) -> None:
        if run_for is not None:
            raise StackError("containers in the background have nobody to stop them: leave out --detach or --for")
        self._refuse_another_clone()
        try:
            self.compose.run("up", "--detach", "--wait", seconds=UP_SECONDS, show=show)
        except StackError as error:
            raise StackError(f"{error}{self._what_is_wrong()}") from error

    def _refuse_another_clone(self) -> None:
        """Compose itself takes over the containers and volumes of a clone whose folder has the same name.

        Raises:
            StackError: the project's containers belong to another clone.
        """
        for container in self.containers():
            folder = container.labels.get(f"{LABEL}project.working_dir", "")
            if folder not in {"", str(REPOSITORY)}:
                raise StackError(
                    f"the compose project {self.compose.project} belongs to the clone in {folder}: give this one its "
                    "own name and ports (export NEWSROOM_PORT_OFFSET=200), or run 'docker compose down' there"
                )

    def _what_is_wrong(self) -> str:
        # Compose only says that a container is unhealthy; the container's last lines say why.
        text = ""
        for container in self.containers():
            failed = container.status == "exited" and exit_code(container) != 0
            if failed or health(container) == "unhealthy":
                text += f"\n{name_of(container)}, {container.status}, its last lines:\n"
                text += "\n".join(f"    {line}" for line in last_lines(container))
        return text

    @override
    def down(self, *, wipe: bool = False) -> list[str]:
        if wipe:
            self._refuse_another_clone()
        lines = ["everything is stopped" if self.containers() else "nothing was running"]
        options = ["--volumes"] if wipe else []
        self.compose.run("--profile", "*", "down", "--remove-orphans", *options, seconds=DOWN_SECONDS)
        return [*lines, "its volumes are deleted"] if wipe else lines

    @override
    def ps(self) -> list[Instance]:
        containers = [container for container in self.containers() if not is_finished_job(container)]
        with ThreadPoolExecutor(max(1, len(containers))) as pool:
            return list(pool.map(instance, containers))

    def containers(self) -> list[Container]:
        """The project's containers, in the order of the table, without those of `docker compose run`.

        Raises:
            StackError: no engine answers.
        """
        filters: dict[str, str | list[str] | bool] = {
            "label": [f"{LABEL}project={self.compose.project}", f"{LABEL}oneoff=False"]
        }
        try:
            # A container that is removed during the call is left out.
            containers = self._engine().containers.list(all=True, filters=filters, ignore_removed=True)
        except DockerException as error:
            raise StackError(f"the Docker engine does not list its containers: {error}") from error
        return sorted(containers, key=position)

    @override
    def logs(self, name: str | None = None, *, follow: bool = False) -> Iterator[tuple[str, str]]:
        containers = self.containers() if name is None else self.find(name)
        if not follow or not any(container.status in ALIVE for container in containers):
            return ((name_of(container), line) for container in containers for line in lines_of(container.logs()))
        # Compose stops following a service when its only container restarts; so it follows all of them.
        return (
            (instance_name(service, number), line)
            for service, number, line in self.compose.follow_logs()
            if name is None or name in names_of(service, number)
        )

    @override
    def scale(self, service: str, replicas: int) -> list[str]:
        if not service_kind(service).scalable or replicas < 0:
            raise StackError(f"{service} cannot run with {replicas} replicas")
        options = ("--detach", "--wait", "--no-deps", "--no-recreate", "--no-build", "--scale", f"{service}={replicas}")
        self.compose.run("up", *options, service, seconds=READY_SECONDS)
        return [f"{service}: {replicas} replicas"]

    @override
    def kill(self, name: str) -> list[str]:
        def end(container: Container) -> None:
            if container.status != "exited":
                container.kill("SIGKILL")
            _wait(container, lambda: container.status == "exited", "to end")

        return [
            f"{instance}: killed (SIGKILL); it stays down until 'newsroom --docker restart {instance}'"
            for instance in self._act(name, end)
        ]

    @override
    def pause(self, name: str) -> list[str]:
        return [f"{instance}: paused" for instance in self._act(name, lambda container: container.pause())]

    @override
    def resume(self, name: str) -> list[str]:
        resumed = self._act(name, lambda container: container.unpause(), only="paused")
        return [f"{instance}: resumed" for instance in resumed] or [f"{name} is not paused"]

    @override
    def restart(self, name: str) -> list[str]:
        def restart(container: Container) -> None:
            if container.status == "paused":
                container.unpause()
            container.restart(timeout=GRACE_SECONDS)
            _wait(container, lambda: health(container) == "healthy", "to be healthy")

        return [f"{instance}: restarted and ready" for instance in self._act(name, restart)]

    @override
    def execute(self, name: str, *command: str) -> str:
        container, *_ = self.find(name)
        with _engine_errors(name):
            code, output = container.exec_run(list(command))
        text = output.decode(errors="replace") if isinstance(output, bytes) else ""
        if code != 0:
            raise StackError(f"{name}: '{' '.join(command)}' failed: {text.strip()}")
        return text

    def close(self) -> None:
        """Close the connection to the engine; the next call opens it again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def find(self, name: str) -> list[Container]:
        """The containers of an instance or of a service.

        Raises:
            StackError: there is none.
        """
        containers = self.containers()
        chosen = [
            container for container in containers if name in names_of(service_of(container), number_of(container))
        ]
        if not chosen:
            raise unknown_name(name, map(name_of, containers))
        return chosen

    def _act(self, name: str, act: Callable[[Container], object], only: str | None = None) -> list[str]:
        """Act on every container of that name (with `only`, in that status) side by side; return the instances."""
        containers = [container for container in self.find(name) if only in (None, container.status)]
        with _engine_errors(name), ThreadPoolExecutor(max(1, len(containers))) as pool:
            list(pool.map(act, containers))
        return [name_of(container) for container in containers]

    def _engine(self) -> docker.DockerClient:
        if self._client is None:
            try:
                self._client = docker.from_env(timeout=ENGINE_SECONDS)
                self._client.ping()
            except DockerException as error:
                self.close()
                raise StackError(
                    f"no Docker engine answers ({error}): start it, or leave out --docker to run as processes"
                ) from error
        return self._client


class ContainerOwner(Owner):
    """The command line that started the containers."""

    def __init__(self, stack: ContainerStack, run_for: float | None) -> None:
        self._stack = stack
        self._deadline = deadline_after(run_for)

    @override
    def news(self) -> Iterator[str]:
        before: dict[str, str] = {}
        # Not `wait_until`: each look may yield several changes.
        while not self._deadline.passed():
            now = {name_of(container): description(container) for container in self._stack.containers()}
            if not now:
                return
            for name in dict.fromkeys([*before, *now]) if before else ():
                if before.get(name) != now.get(name):
                    yield f"{name}: {before.get(name, 'not there')} → {now.get(name, 'not there')}"
            before = now
            time.sleep(POLL_SECONDS)

    @override
    def stop(self) -> int:
        self._stack.down()
        return 0


@contextlib.contextmanager
def _engine_errors(name: str) -> Iterator[None]:
    """Turn the engine's refusal into a sentence about this container."""
    try:
        yield
    except APIError as error:
        raise StackError(f"{name}: {error.explanation}") from error
    except (DockerException, requests.RequestException) as error:
        raise StackError(f"{name}: the Docker engine does not answer: {error}") from error


def _wait(container: Container, is_done: Callable[[], bool], what: str) -> None:
    name = name_of(container)

    def attempt() -> None:
        container.reload()
        need(None if is_done() else f"it is {container.status}, {health(container) or 'no health check'}")

    wait_until(
        attempt,
        READY_SECONDS,
        lambda missing: StackError(f"waited {READY_SECONDS:.0f} s for {name} {what}: {missing}"),
        pause=POLL_SECONDS,
    )
