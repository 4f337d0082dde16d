"""What is wrong with a container of the stack, told from what the engine says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from newsroom_stack.containers.container import is_finished_job, last_lines, name_of, service_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from newsroom_stack.containers.stack import ContainerStack

LOOP_RESTARTS = 3
"""So many restarts by the engine are a loop. A service that was fenced or lost its cluster restarts once or twice."""

MIB = 1024**2


@dataclass(frozen=True)
class Ailment:
    """Why a container does not do its work, and what helps."""

    problem: str
    remedy: str


def ailments(stack: ContainerStack) -> Iterator[tuple[str, Ailment]]:
    """The containers that are not well, by their names.

    Raises:
        StackError: no engine answers.
    """
    network = f"{stack.compose.project}_default"
    for container in stack.containers():
        if is_finished_job(container):
            continue
        lines = last_lines(container) if container.attrs["RestartCount"] else []
        problem = ailment(service_of(container), container.attrs, network, lines)
        if problem is not None:
            yield name_of(container), problem


def ailment(service: str, attributes: Mapping[str, Any], network: str, lines: Sequence[str]) -> Ailment | None:
    """What is wrong with a container, or None.

    Args:
        service: its service in the compose file, by which the others find it.
        attributes: what `docker inspect` says of it.
        network: the stack's network.
        lines: its last lines.
    """
    return _restarts(service, attributes, lines) or _present(service, attributes, network)


def _restarts(service: str, attributes: Mapping[str, Any], lines: Sequence[str]) -> Ailment | None:
    """Why the engine starts it again and again."""
    state, restarts = attributes["State"], int(attributes["RestartCount"])
    full = next((line for line in lines if "No space left on device" in line), None)
    if full is not None and restarts:
        return Ailment(f"restarted {restarts} times, the disk is full: {full.strip()}", "free space: docker system df")
    if state["OOMKilled"]:
        limit = int(attributes["HostConfig"]["Memory"]) // MIB
        return Ailment(
            f"was killed at its memory limit of {limit} MiB; restarts: {restarts}",
            f"stop replicas, or raise the limit of {service} in docker-compose.yml",
        )
    if state["Status"] == "restarting" or restarts >= LOOP_RESTARTS:
        last = f": {lines[-1].strip()}" if lines else ""
        return Ailment(f"restarted {restarts} times, last exit code {state['ExitCode']}{last}", _logs(service))
    return None


def _present(service: str, attributes: Mapping[str, Any], network: str) -> Ailment | None:
    """Why a container that is there does nothing."""
    state = attributes["State"]
    if state["Status"] == "paused":
        return Ailment("is paused", f"docker compose unpause {service}")
    if state["Status"] != "running":
        return None
    networks = attributes["NetworkSettings"]["Networks"]
    if service not in (networks.get(network, {}).get("Aliases") or ()):
        return Ailment(
            f"has no name in the network {network}, so the others do not find it",
            f"docker compose up -d --force-recreate --no-deps {service}",
        )
    health = state.get("Health") or {}
    if health.get("Status") != "unhealthy":
        return None
    checks = [str(check["Output"]).strip() for check in health.get("Log") or ()]
    reason = next((check.splitlines()[-1] for check in reversed(checks) if check), "its health check says no more")
    return Ailment(f"is unhealthy: {reason}", _logs(service))


def _logs(service: str) -> str:
    return f"docker compose logs {service} shows why"
