"""The processes of a stack: what each is, how it starts and where it answers."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom.topics import REGISTRY_GROUPS
from newsroom_stack.catalogue import MAX_REPLICAS, SERVICES, service_kind
from newsroom_stack.environment import services_environment
from newsroom_stack.errors import StackError
from newsroom_stack.jvm import launch as jvm
from newsroom_stack.layout import REPOSITORY, Layout
from newsroom_stack.ports import LOOPBACK, Ports
from newsroom_stack.probes import Probe

if TYPE_CHECKING:
    from newsroom_stack.jvm.artifacts import Artifacts
    from newsroom_stack.settings import StackSettings


READY_SECONDS = 60.0
"""Deadline of a start until the process is ready: about ten times what it takes on two cores."""


@dataclass(frozen=True)
class ProcessSpec:
    """What a process of the stack is, how it starts and where it answers."""

    name: str
    service: str
    role: str
    launch: jvm.Launch
    address: str
    probe: Probe
    deadline: float = READY_SECONDS


class Plan:
    """Specifies the processes of one stack from its settings."""

    def __init__(self, settings: StackSettings, artifacts: Artifacts) -> None:
        self.settings = settings
        self.artifacts = artifacts
        self.ports = Ports(settings.port_offset)
        self.layout = Layout(settings.home.absolute())

    def broker(self, node: int) -> ProcessSpec:
        """The combined broker and controller `kafka-N`."""
        address = f"localhost:{self.ports.brokers[node - 1]}"
        launch = jvm.broker(self.artifacts, self._node(node))
        controllers = ",".join(f"localhost:{port}" for port in self.ports.controllers)
        probe = Probe("broker", f"{address} {controllers}")
        return ProcessSpec(f"kafka-{node}", "kafka", "broker", launch, address, probe)

    def format_storage(self, node: int) -> jvm.Launch | None:
        """The command that formats a node's storage, or None when it is formatted already."""
        return jvm.format_storage(self.artifacts, self._node(node))

    def registry(self) -> ProcessSpec:
        """The schema registry."""
        launch = jvm.registry(
            self.artifacts,
            data=self.layout.data / "registry",
            port=self.ports.registry,
            health_port=self.ports.registry_health,
        )
        probe = Probe("http", f"http://{LOOPBACK}:{self.ports.registry_health}/health/ready")
        address = f"http://localhost:{self.ports.registry}"
        return ProcessSpec("registry", "registry", "registry", launch, address, probe)

    def connect(self) -> ProcessSpec:
        """Kafka Connect with the file sink."""
        launch = jvm.connect(
            self.artifacts,
            configs=REPOSITORY / "kafka-connect-configs",
            bootstrap=self.ports.bootstrap,
            port=self.ports.connect,
            offsets=self.layout.data / "connect" / "offsets",
            sink=self.layout.sink_file,
        )
        address = f"http://localhost:{self.ports.connect}"
        return ProcessSpec("connect", "connect", "connect", launch, address, Probe("connect", address))

    def provision(self) -> jvm.Launch:
        """The job that creates topics and subjects, and deletes what earlier registries left."""
        environment = services_environment(self.ports) | {"NEWSROOM_PROVISION_FORGET_GROUPS": REGISTRY_GROUPS}
        return jvm.Launch("provision", (self._command("provision"),), environment, REPOSITORY)

    def service(self, name: str, replica: int) -> ProcessSpec:
        """A replica (counted from 1) of one of our services.

        Raises:
            StackError: there is no such service, or it cannot have this replica.
        """
        kind = service_kind(name)
        if not 1 <= replica <= (MAX_REPLICAS if kind.scalable else 1):
            raise StackError(f"{name} runs with {1 if not kind.scalable else f'1 to {MAX_REPLICAS}'} replicas here")
        port = self.ports.service(kind.first_port, replica)
        environment = (
            self._defaults()
            | services_environment(self.ports)
            | {
                "NEWSROOM_HTTP_PORT": str(port),
                "NEWSROOM_STATE_DIR": str(self.layout.state(name)),
            }
            | (self._watched() if name == "status-api" else {})
        )
        launch = jvm.Launch(name, (self._command(name),), environment, REPOSITORY)
        probe = Probe("http", f"http://{LOOPBACK}:{port}/readyz")
        instance = f"{name}-{replica}" if kind.scalable else name
        return ProcessSpec(instance, name, "service", launch, f"http://localhost:{port}", probe)

    def _defaults(self) -> dict[str, str]:
        """Settings that only the stack gives its services, unless the user's environment sets them."""
        rate = {"NEWSROOM_PRODUCER_RATE": str(self.settings.news_rate)}
        # A file cannot be part of a database's transaction, so the consumer would refuse it.
        if os.environ.get("NEWSROOM_CONSUMER_DELIVERY") == "exactly-once":
            return rate
        return rate | {"NEWSROOM_CONSUMER_SINK": str(self.layout.consumed)}

    def _watched(self) -> dict[str, str]:
        """What the status API shows beside the brokers: Connect, and each possible replica of the services."""
        first_ports = {kind.name: self.ports.service(kind.first_port, 1) for kind in SERVICES if kind.scalable}
        return {
            "NEWSROOM_STATUS_CONNECT_URL": f"http://{LOOPBACK}:{self.ports.connect}",
            "NEWSROOM_STATUS_SERVICES": ",".join(
                f"{name}=http://{LOOPBACK}:{port}-{port + MAX_REPLICAS - 1}" for name, port in first_ports.items()
            ),
        }

    def _node(self, node: int) -> jvm.Node:
        return jvm.Node(node, self.ports.brokers[node - 1], self.ports.controllers, self.layout.broker(node))

    def _command(self, service: str) -> str:
        return str(Path(sys.executable).parent / service)
