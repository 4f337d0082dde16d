"""What a container of the stack is: its name, role, state and address, from what the engine says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docker.errors import NotFound

from newsroom_stack.catalogue import LAB_WRITERS, SERVICES
from newsroom_stack.interface import Instance, State

if TYPE_CHECKING:
    from docker.models.containers import Container

LABEL = "com.docker.compose."
INSIDE_PORT = 8000
"""The port of each of our services inside the network."""

LAST_LINES = 8
"""So many lines tell why a container is not well."""

KILLED = 128 + 9
"""The exit code of a process that SIGKILL ended."""

STATES = {
    "created": State.STARTING,
    "running": State.RUNNING,
    "restarting": State.STARTING,
    "paused": State.PAUSED,
    "removing": State.STOPPING,
    "exited": State.EXITED,
    "dead": State.FAILED,
}

ROLES = {"kafka": "broker", "registry": "registry", "connect": "connect", "kafka-ui": "ui"}
ROLES |= dict.fromkeys(("topics", "provision"), "job")
ROLES |= dict.fromkeys((*(kind.name for kind in SERVICES), *LAB_WRITERS), "service")

ROLE_ORDER = ("broker", "registry", "connect", "service", "job", "ui", "tool")


def name_of(container: Container) -> str:
    """The instance's name, as the processes have it: `avro-consumer-2`, `kafka-1`, `connect`."""
    return instance_name(service_of(container), number_of(container))


def instance_name(service: str, number: int) -> str:
    """The name of a service's replica."""
    scalable = any(kind.name == service and kind.scalable for kind in SERVICES)
    return f"{service}-{number}" if scalable else service


def names_of(service: str, number: int) -> tuple[str, ...]:
    """What a command may call a container."""
    return instance_name(service, number), kind_of(service), service


def kind_of(service: str) -> str:
    """The service whose configuration a container has: `kafka` for `kafka-1`."""
    return "kafka" if service.removeprefix("kafka-").isdigit() else service


def role_of(service: str) -> str:
    """The part that a service plays in the stack."""
    return ROLES.get(kind_of(service), "tool")


def position(container: Container) -> tuple[int, str, int]:
    """The place of a container in the table."""
    service = service_of(container)
    return ROLE_ORDER.index(role_of(service)), service, number_of(container)


def service_of(container: Container) -> str:
    """The container's service in the compose file."""
    return container.labels[f"{LABEL}service"]


def number_of(container: Container) -> int:
    """The replica's number, from 1."""
    return int(container.labels[f"{LABEL}container-number"])


def health(container: Container) -> str:
    """`healthy`, `unhealthy`, `starting`, or empty without a health check."""
    return str(container.attrs["State"].get("Health", {}).get("Status", ""))


def description(container: Container) -> str:
    """Its state and health for a reader."""
    return ", ".join(part for part in (container.status, health(container)) if part)


def last_lines(container: Container) -> list[str]:
    """The last lines of a container's log."""
    return lines_of(container.logs(tail=LAST_LINES))


def lines_of(output: bytes) -> list[str]:
    """The lines of a log."""
    return output.decode(errors="replace").splitlines()


def is_finished_job(container: Container) -> bool:
    """Whether it has done what it was started for."""
    return role_of(service_of(container)) == "job" and container.status == "exited" and exit_code(container) == 0


def exit_code(container: Container) -> int:
    """The code with which its process ended last."""
    return int(container.attrs["State"]["ExitCode"])


def instance(container: Container) -> Instance:
    """What `newsroom ps` shows of it."""
    service = service_of(container)
    state = STATES[container.status]
    if state is State.EXITED and exit_code(container) == KILLED:
        state = State.KILLED
    return Instance(
        name=name_of(container),
        service=kind_of(service),
        role=role_of(service),
        pid=container.attrs["State"]["Pid"] or None,
        address=_address(container),
        state=state,
        ready=state is State.RUNNING and health(container) == "healthy",
        restarts=int(container.attrs["RestartCount"]),
        memory_bytes=_memory(container),
    )


def _address(container: Container) -> str:
    published = [binding[0]["HostPort"] for binding in container.ports.values() if binding]
    role = role_of(service_of(container))
    if published:
        return f"{'' if role == 'broker' else 'http://'}localhost:{published[0]}"
    # Not published: the container's name inside the project's network.
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
