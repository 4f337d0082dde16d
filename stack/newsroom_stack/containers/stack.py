"""The stack as containers: docker compose starts, scales and stops them, the engine's API does the rest."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from typing_extensions import override

from newsroom.waiting import need
from newsroom_stack.catalogue import SERVICES, service_kind
from newsroom_stack.containers.compose import Compose
from newsroom_stack.containers.logs import Follower, lines_of
from newsroom_stack.errors import StackError
from newsroom_stack.interface import Instance, Owner, Show, Stack, State, silent
from newsroom_stack.ports import Ports
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from docker.models.containers import Container

    from newsroom_stack.settings import StackSettings

UP_SECONDS = 900.0
"""A first start builds five images and waits for three brokers: five minutes on two cores, more on a slow line."""

DOWN_SECONDS = 120.0
"""Containers stop layer by layer, each within its own grace period of 30 s."""

READY_SECONDS = 120.0
"""A member that was restarted: longer than the health check's own start period."""

GRACE_SECONDS = 30
"""The compose file's stop_grace_period, for the engine's own restart."""

ENGINE_SECONDS = 60
NEWS_SECONDS = 0.5
POLL_SECONDS = 0.25
KILLED = 128 + 9
"""The exit code of a process that SIGKILL ended."""

LABEL = "com.docker.compose."
INSIDE_PORT = 8000
"""Where each of our services answers inside the network."""

STATES = {
    "created": State.STARTING, "running": State.RUNNING, "restarting": State.STARTING, "paused": State.PAUSED,
    "removing": State.STOPPING, "exited": State.EXITED, "dead": State.FAILED,
}  # fmt: skip


class ContainerStack(Stack):
    """The containers of one compose project."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.ports = Ports(settings.port_offset)
        self.compose = Compose(settings)
        self._client: docker.DockerClient | None = None

    @override
    def running(self) -> bool:
        return any(each.status in {"running", "restarting", "paused"} for each in self.containers())

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
        self._engine()
        try:
            self.compose.run("up", "--detach", "--wait", seconds=UP_SECONDS, show=show)
        except StackError as error:
            raise StackError(f"{error}{self._what_is_wrong()}") from error

    def _what_is_wrong(self) -> str:
        # Compose only says that a container is unhealthy; its last lines say why.
        lines = ""
        for each in self.containers():
            exited = each.status == "exited" and each.attrs["State"]["ExitCode"] != 0
            if exited or _health(each) == "unhealthy":
                last = each.logs(tail=8).decode(errors="replace").rstrip().splitlines()
                lines += f"\n{name_of(each)}, {each.status}, its last lines:\n" + "\n".join(f"    {li}" for li in last)
        return lines

    @override
    def down(self, *, wipe: bool = False) -> list[str]:
        had = bool(self.containers())
        options = ["--volumes"] if wipe else []
        self.compose.run("--profile", "*", "down", "--remove-orphans", *options, seconds=DOWN_SECONDS)
        lines = ["everything is stopped"] if had else ["nothing was running"]
        return [*lines, "its volumes are deleted"] if wipe else lines

    @override
    def ps(self) -> list[Instance]:
        found = [each for each in self.containers() if not _is_finished_job(each)]
        with ThreadPoolExecutor(max(1, len(found))) as pool:
            return list(pool.map(_instance, found))

    def containers(self) -> list[Container]:
        """The project's containers, in the order of the table; those of `docker compose run` are left out.

        Raises:
            StackError: no engine answers.
        """
        filters: dict[str, str | list[str] | bool] = {
            "label": [f"{LABEL}project={self.compose.project}", f"{LABEL}oneoff=False"]
        }
        try:
            # A container that goes while the list is made is left out.
            found = self._engine().containers.list(all=True, filters=filters, ignore_removed=True)
        except DockerException as error:
            raise StackError(f"the Docker engine does not list its containers: {error}") from error
        return sorted(found, key=lambda each: (_ROLE_ORDER[_role(_service(each))], _service(each), _number(each)))

    @override
    def logs(self, name: str | None = None, *, follow: bool = False) -> Iterator[tuple[str, str]]:
        def chosen() -> list[Container]:
            return self.find(name) if name is not None else self.containers()

        if follow:
            return Follower(chosen, name_of).lines()
        return ((name_of(each), line) for each in chosen() for line in lines_of(each.logs()))

    @override
    def scale(self, service: str, replicas: int) -> list[str]:
        if not service_kind(service).scalable or replicas < 0:
            raise StackError(f"{service} cannot run with {replicas} replicas")
        options = ("--detach", "--wait", "--no-deps", "--no-recreate", "--no-build", "--scale", f"{service}={replicas}")
        self.compose.run("up", *options, service, seconds=READY_SECONDS)
        return [f"{service}: {replicas} replicas"]

    @override
    def kill(self, name: str) -> list[str]:
        found = self._each(name, lambda each: each.kill("SIGKILL") if each.status != "exited" else None)
        for each in found:
            self._wait(each, lambda each: each.status == "exited", "to end")
        return [
            f"{name_of(each)}: killed (SIGKILL); it stays down until 'newsroom --docker restart {name_of(each)}'"
            for each in found
        ]

    @override
    def pause(self, name: str) -> list[str]:
        return [f"{name_of(each)}: paused" for each in self._each(name, lambda each: each.pause())]

    @override
    def resume(self, name: str) -> list[str]:
        paused = [each for each in self.find(name) if each.status == "paused"]
        _side_by_side(name, paused, lambda each: each.unpause())
        return [f"{name_of(each)}: resumed" for each in paused] or [f"{name} is not paused"]

    @override
    def restart(self, name: str) -> list[str]:
        def again(each: Container) -> None:
            if each.status == "paused":
                each.unpause()
            each.restart(timeout=GRACE_SECONDS)

        found = self._each(name, again)
        for each in found:
            self._wait(each, lambda each: _health(each) == "healthy", "to be healthy")
        return [f"{name_of(each)}: restarted and ready" for each in found]

    @override
    def execute(self, name: str, *command: str) -> str:
        container, *_ = self.find(name)
        with _told_as(name):
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
        """The containers that an instance's or a service's name means.

        Raises:
            StackError: there is none.
        """
        there = self.containers()
        found = [each for each in there if name in (name_of(each), _kind(_service(each)), _service(each))]
        if not found:
            known = ", ".join(name_of(each) for each in there)
            raise StackError(f"there is no '{name}' in this stack: {known or 'it does not run'}")
        return found

    def _each(self, name: str, act: Callable[[Container], object]) -> list[Container]:
        """Do something to every container of that name, side by side."""
        found = self.find(name)
        _side_by_side(name, found, act)
        return found

    def _wait(self, container: Container, done: Callable[[Container], bool], what: str) -> None:
        name = name_of(container)

        def attempt() -> None:
            container.reload()
            need(None if done(container) else f"it is {container.status}, {_health(container) or 'no health check'}")

        with _told_as(name):
            wait_until(
                attempt,
                READY_SECONDS,
                lambda missing: StackError(f"waited {READY_SECONDS:.0f} s for {name} {what}: {missing}"),
                pause=POLL_SECONDS,
            )

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
        self._end = time.monotonic() + run_for if run_for is not None else None

    @override
    def news(self) -> Iterator[str | None]:
        before: dict[str, tuple[str, str]] = {}
        while self._end is None or time.monotonic() < self._end:
            now = {name_of(each): (each.status, _health(each)) for each in self._stack.containers()}
            if not now:
                return
            for name in [*before, *(name for name in now if name not in before)] if before else []:
                if before.get(name) != now.get(name):
                    yield f"{name}: {_words(before.get(name))} → {_words(now.get(name))}"
            before = now
            yield None
            time.sleep(NEWS_SECONDS)

    @override
    def stop(self) -> int:
        self._stack.down()
        return 0


@contextlib.contextmanager
def _told_as(name: str) -> Iterator[None]:
    """Turn what the engine refuses into a sentence about this container."""
    try:
        yield
    except APIError as error:
        raise StackError(f"{name}: {error.explanation}") from error
    except (DockerException, requests.RequestException) as error:
        raise StackError(f"{name}: the Docker engine does not answer: {error}") from error


def _side_by_side(name: str, containers: Sequence[Container], act: Callable[[Container], object]) -> None:
    with _told_as(name), ThreadPoolExecutor(max(1, len(containers))) as pool:
        list(pool.map(act, containers))


def name_of(container: Container) -> str:
    """The instance's name, as the processes have it: `avro-consumer-2`, `kafka-1`, `connect`."""
    service = _service(container)
    scalable = any(kind.name == service and kind.scalable for kind in SERVICES)
    return f"{service}-{_number(container)}" if scalable else service


_ROLE_ORDER = {"broker": 0, "registry": 1, "connect": 2, "service": 3, "job": 4, "ui": 5, "tool": 6}


def _role(service: str) -> str:
    if any(kind.name == service for kind in SERVICES):
        return "service"
    roles = {"kafka": "broker", "registry": "registry", "connect": "connect", "provision": "job", "kafka-ui": "ui"}
    return roles.get(_kind(service), "tool")


def _kind(service: str) -> str:
    head, _, number = service.rpartition("-")
    return head if head == "kafka" and number.isdigit() else service


def _service(container: Container) -> str:
    return container.labels[f"{LABEL}service"]


def _number(container: Container) -> int:
    return int(container.labels[f"{LABEL}container-number"])


def _health(container: Container) -> str:
    return str(container.attrs["State"].get("Health", {}).get("Status", ""))


def _words(seen: tuple[str, str] | None) -> str:
    return "not there" if seen is None else ", ".join(part for part in seen if part)


def _is_finished_job(container: Container) -> bool:
    return _role(_service(container)) == "job" and container.status == "exited" and _exit_code(container) == 0


def _exit_code(container: Container) -> int:
    return int(container.attrs["State"]["ExitCode"])


def _instance(container: Container) -> Instance:
    service = _service(container)
    state = STATES[container.status]
    if state is State.EXITED and _exit_code(container) == KILLED:
        state = State.KILLED
    return Instance(
        name=name_of(container),
        service=_kind(service),
        role=_role(service),
        pid=container.attrs["State"]["Pid"] or None,
        address=_address(container),
        state=state,
        ready=state is State.RUNNING and _health(container) == "healthy",
        restarts=int(container.attrs["RestartCount"]),
        memory_bytes=_memory(container),
    )


def _address(container: Container) -> str:
    published = [binding[0]["HostPort"] for binding in container.ports.values() if binding]
    role = _role(_service(container))
    if published:
        return f"{'' if role == 'broker' else 'http://'}localhost:{published[0]}"
    # Not published: the name that it has inside the project's network.
    return f"http://{container.name}:{INSIDE_PORT}" if role == "service" else ""


def _memory(container: Container) -> int:
    """Bytes as `docker stats` counts them: without the file cache that the kernel can take back."""
    if container.status not in {"running", "paused"}:
        return 0
    try:
        stats: Any = container.stats(stream=False, one_shot=True)
    except NotFound:
        return 0
    memory = stats["memory_stats"]
    details = memory.get("stats", {})
    cache = details.get("inactive_file", details.get("total_inactive_file", 0))
    return max(0, int(memory.get("usage", 0)) - int(cache))
