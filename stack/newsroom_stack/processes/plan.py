"""The members of a stack: what each is, how it is started, where it answers and in which order it stops."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom_stack.catalogue import BROKERS, MAX_REPLICAS, SERVICES, service_kind
from newsroom_stack.errors import StackError
from newsroom_stack.jvm import launch as jvm
from newsroom_stack.layout import REPOSITORY, Layout
from newsroom_stack.ports import LOOPBACK, Ports
from newsroom_stack.probes import Probe

if TYPE_CHECKING:
    from newsroom_stack.jvm.artifacts import Artifacts
    from newsroom_stack.settings import StackSettings


@dataclass(frozen=True)
class Member:
    """One process of the stack."""

    name: str
    service: str
    role: str
    launch: jvm.Launch
    address: str
    probe: Probe
    deadline: float
    """Seconds the member has to become ready: about ten times what it takes on two cores."""


DEADLINES = {"broker": 60.0, "registry": 60.0, "connect": 60.0, "service": 60.0}


class Plan:
    """Makes the members of one stack from its settings."""

    def __init__(self, settings: StackSettings, artifacts: Artifacts) -> None:
        self.settings = settings
        self.artifacts = artifacts
        self.ports = Ports(settings.port_offset)
        self.layout = Layout(settings.home.absolute())

    def broker(self, node: int) -> Member:
        """The combined broker and controller `kafka-N`."""
        address = f"localhost:{self.ports.brokers[node - 1]}"
        launch = jvm.broker(self.artifacts, self._node(node))
        return Member(
            f"kafka-{node}", "kafka", "broker", launch, address, Probe("broker", address), DEADLINES["broker"]
        )

    def format_storage(self, node: int) -> jvm.Launch | None:
        """The command that formats a node's storage, or None when it is formatted."""
        return jvm.format_storage(self.artifacts, self._node(node))

    def registry(self) -> Member:
        """The schema registry."""
        launch = jvm.registry(
            self.artifacts,
            data=self.layout.data / "registry",
            port=self.ports.registry,
            health_port=self.ports.registry_health,
        )
        probe = Probe("http", f"http://{LOOPBACK}:{self.ports.registry_health}/health/ready")
        address = f"http://localhost:{self.ports.registry}"
        return Member("registry", "registry", "registry", launch, address, probe, DEADLINES["registry"])

    def connect(self) -> Member:
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
        probe = Probe("http", f"{address}/health")
        return Member("connect", "connect", "connect", launch, address, probe, DEADLINES["connect"])

    def provision(self) -> jvm.Launch:
        """The job that creates topics and subjects."""
        return jvm.Launch("provision", (self._command("provision"),), self._environment(), REPOSITORY)

    def service(self, name: str, replica: int) -> Member:
        """A replica (counted from 1) of one of our services.

        Raises:
            StackError: there is no such service, or not so many replicas.
        """
        kind = service_kind(name)
        if not 1 <= replica <= (MAX_REPLICAS if kind.scalable else 1):
            raise StackError(f"{name} runs with {1 if not kind.scalable else f'1 to {MAX_REPLICAS}'} replicas here")
        port = self.ports.service(kind.first_port, replica)
        environment = self._environment() | {
            "NEWSROOM_HTTP_PORT": str(port),
            "NEWSROOM_STATE_DIR": str(self.layout.state(name)),
        }
        options = (*kind.options, *self._options(name))
        launch = jvm.Launch(name, (self._command(name), *options), environment, REPOSITORY)
        address = f"http://localhost:{port}"
        probe = Probe("http", f"http://{LOOPBACK}:{port}/readyz")
        instance = f"{name}-{replica}" if kind.scalable else name
        return Member(instance, name, "service", launch, address, probe, DEADLINES["service"])

    def listening(self) -> dict[str, int]:
        """Every port the stack takes at its start, with who takes it."""
        ports = {f"kafka-{node + 1}": port for node, port in enumerate(self.ports.brokers)}
        ports |= {f"kafka-{node + 1} (controller)": port for node, port in enumerate(self.ports.controllers)}
        ports |= {"registry": self.ports.registry, "registry (health)": self.ports.registry_health}
        ports |= {"connect": self.ports.connect}
        return ports | {kind.name: self.ports.service(kind.first_port, 1) for kind in SERVICES}

    def _options(self, service: str) -> tuple[str, ...]:
        if service == "news-producer":
            return ("--rate", str(self.settings.news_rate))
        if service == "avro-consumer":
            return ("--sink", str(self.layout.consumed))
        return ()

    def _node(self, node: int) -> jvm.Node:
        index = node - 1
        return jvm.Node(
            node_id=node,
            port=self.ports.brokers[index],
            controller_ports=self.ports.controllers,
            data=self.layout.broker(node),
        )

    def _command(self, service: str) -> str:
        return str(Path(sys.executable).parent / service)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "NEWSROOM_BOOTSTRAP_SERVERS": self.ports.bootstrap,
            "NEWSROOM_REGISTRY_URL": self.ports.registry_url,
            "NEWSROOM_PROVISION_BROKERS": str(BROKERS),
            "PYTHONUNBUFFERED": "1",
            **no_proxy_for_loopback(),
        }


def no_proxy_for_loopback() -> dict[str, str]:
    """The variables that keep a proxy of the user's away from this machine's own addresses."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    value = ",".join([*([given] if given else []), "localhost", LOOPBACK])
    return {"NO_PROXY": value, "no_proxy": value}
